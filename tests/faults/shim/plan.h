/* What goes wrong where, and a trace of all points; see src/plan.rs. The caller holds the lock. */
#pragma once

#define PATH_BYTES 4096

/* Effects from KILL_CUT on end the process. */
enum effect { NOTHING, EIO_DONE, EIO_LOST, ENOSPC_DONE, ENOSPC_LOST, KILL_CUT, KILL_KEPT, KILL_TORN };

/* Reads the environment. */
void plan_load(void);

/* Whether `path`, absolute and without empty parts, is below a watched folder or is one. */
int plan_watches(const char *path);

/* Counts a call on `path`; what is to become of it. */
enum effect plan_arrive(const char *path, const char *operation);

/* Whether a sync of `path` does nothing and says that it did. */
int plan_lies(const char *path);

/* Whether something was lost: then the end of the process is a power cut, too. */
int plan_power_fails_at_end(void);

/* Whether nothing more can be written below the watched folders. */
int plan_disk_is_full(void);

/* Folder for files that nobody may see any more and that may come back. */
const char *plan_stash(void);

/* Says on standard error what is wrong, and ends the process with status 99: no test may go on without its faults. */
_Noreturn void plan_fail(const char *what);
