#include <stdio.h>

#include "tests/place.h"

char dir[STATE_PATH];
char side[STATE_PATH];

void
place_make(void)
{

	state_folder(dir);
	state_folder(side);
}

void
place_remove(void)
{

	state_remove(dir);
	state_remove(side);
}

void
remove_journal(void)
{
	char path[STATE_PATH + 16];

	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
}
