#ifndef SEALED_H
#define SEALED_H

/* Texts of documents, as a hand or a later rememberd would make them. */

/* The text with the right last line (new). */
char	*sealed(const char *text);
/* The text with one word, which it must hold, another (new). */
char	*with(const char *text, const char *was, const char *is);

#endif /* !SEALED_H */
