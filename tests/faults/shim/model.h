/* What of the watched files survives a power cut. The caller holds the lock. */
#pragma once

#include <sys/types.h>

/* What a cut leaves of that which was not synced: all of it; half of each file's bytes, and all names; nothing. */
enum cut { CUT_NONE, CUT_HALF, CUT_ALL };

/* The file at `fd`, by its absolute path, was opened; `made`: for the first time; `emptied`: what it held is gone. */
void model_opened(int fd, const char *path, int made, int emptied);
void model_closed(int fd);

/* The path of `fd`; NULL if it is not watched. */
const char *model_path(int fd);

/* A sync of `fd` succeeded: a file's bytes, a folder's names. */
void model_synced(int fd);

/* A sync of `fd` failed, and what it was to write is gone. */
void model_lost(int fd);

/* Does it, and remembers how to undo it. Returns as rename(2) and unlink(2). */
int model_rename(const char *from, const char *to);
int model_unlink(const char *path);

/* Takes back what was not synced. */
void model_cut(enum cut cut);
