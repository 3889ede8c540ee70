#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "atomicfile.h"
#include "identity.h"
#include "log.h"
#include "problem.h"
#include "quarantine.h"
#include "readonly.h"
#include "store_internal.h"
#include "stray.h"
#include "sys.h"

void
stray_note(struct store *s, const char *folder, const char *name)
{
	char file[TENANT_NAME_MAX + 300];

	if (atomicfile_is_temporary(name) || strcmp(name, "lost+found") == 0)
		return;
	(void)snprintf(file, sizeof(file), "%s%s%s", folder,
	    *folder == '\0' ? "" : "/", name);
	problem_note(s, LOG_LEVEL_WARN, file, NULL, "nothing of rememberd has "
	    "such a name here; it is left alone");
}

static int
visit_root(const char *name, void *arg)
{
	static const char *const ours[] = {
		"backup.json", "journal", "lock", "quarantine", IDENTITY_NAME,
		"tenants",
	};
	size_t i;

	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(name, ours[i]) == 0)
			return (0);
	stray_note(arg, "", name);
	return (0);
}

void
stray_tell(struct store *s)
{

	if (readonly_each(s, s->dirfd, visit_root, s) == -1)
		log_warn("list %s", s->o.dir);
}

/* Does it lie in quarantine/, or can that not be told? */
static bool
is_aside(struct store *s, const char *name)
{
	char label[QUARANTINE_LABEL];

	(void)snprintf(label, sizeof(label), "%s.tenant.json", name);
	return (quarantine_has(s, label) != 0);
}

bool
stray_is_tenant(struct store *s, const char *name)
{
	static const char *const parts[] = {
		"tenant.json", "conversations", "once",
	};
	char path[TENANT_NAME_MAX + 32];
	struct stat st;
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", name, parts[i]);
		if (sys->fstatat(s->tenantsfd, path, &st,
		    AT_SYMLINK_NOFOLLOW) == 0)
			return (true);
		/* It is no folder. */
		if (errno == ENOTDIR)
			return (false);
		if (errno != ENOENT)
			return (true);
	}
	return (is_aside(s, name));
}
