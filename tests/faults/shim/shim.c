/* A disk that fails where it is told to, and forgets what was not synced: preloaded into a process (LD_PRELOAD).
 *
 * Files below the watched folders follow POSIX to the letter, and grant nothing more: the bytes of a file survive up to
 * its last fsync or fdatasync, and what happened to names in a folder survives from that folder's fsync on. Everything
 * else is passed through. Each call on a watched file is a point, named by file class, operation and ordinal; a plan says
 * at which points what goes wrong. Options come by environment; see `Settings` in src/shim.rs.
 *
 * Assumes files that grow by appending, as those of RocksDB and of `pds_files::durable` do. Not seen: mmap, io_uring and
 * system calls that do not go through libc. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "model.h"
#include "plan.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) { plan_load(); }

__attribute__((destructor)) static void end(void) {
    pthread_mutex_lock(&lock);
    if (plan_power_fails_at_end())
        model_cut(CUT_ALL);
    pthread_mutex_unlock(&lock);
}

/* Ends the process as a power cut would; the lock stays taken, so that no other thread does anything in between. */
static void die(enum effect effect) {
    model_cut(effect == KILL_CUT ? CUT_ALL : effect == KILL_TORN ? CUT_HALF : CUT_NONE);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static int error_of(enum effect effect) { return effect == ENOSPC_DONE || effect == ENOSPC_LOST ? ENOSPC : EIO; }

static int is_lost(enum effect effect) { return effect == EIO_LOST || effect == ENOSPC_LOST; }

/* What is left to do once `result` is that of the real call: the effect of the plan. */
static long settle(enum effect effect, long result) {
    int error = errno;
    if (effect >= KILL_CUT)
        die(effect);
    pthread_mutex_unlock(&lock);
    if (effect == NOTHING) {
        errno = error;
        return result;
    }
    errno = error_of(effect);
    return -1;
}

static enum effect arrive(const char *path, const char *operation) {
    pthread_mutex_lock(&lock);
    return plan_arrive(path, operation);
}

/* The absolute path of `path` below `folder` in `out`; NULL if it is not watched. */
static const char *watched(int folder, const char *path, char out[PATH_BYTES]) {
    char joined[2 * PATH_BYTES];
    if (path[0] == '/' || folder == AT_FDCWD) {
        if (path[0] == '/')
            snprintf(joined, sizeof joined, "%s", path);
        else {
            char here[PATH_BYTES];
            if (syscall(SYS_getcwd, here, sizeof here) < 0)
                return NULL;
            snprintf(joined, sizeof joined, "%s/%s", here, path);
        }
    } else {
        char link[64], there[PATH_BYTES];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, there, sizeof there - 1);
        if (length < 0)
            return NULL;
        there[length] = 0;
        snprintf(joined, sizeof joined, "%s/%s", there, path);
    }
    char *to = out;
    for (const char *from = joined; *from && to < out + PATH_BYTES - 1; from++)
        if (from[0] != '/' || from[1] != '/')
            *to++ = *from;
    *to = 0;
    return plan_watches(out) ? out : NULL;
}

static int opens(int folder, const char *path, int flags, mode_t mode) {
    char full[PATH_BYTES];
    if (!watched(folder, path, full))
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    struct stat before;
    int existed = syscall(SYS_newfstatat, AT_FDCWD, full, &before, 0) == 0;
    int makes = !existed && (flags & O_CREAT);
    enum effect effect = arrive(full, makes ? "create" : "open");
    if (is_lost(effect))
        return (int)settle(effect, -1);
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0)
        model_opened(fd, full, makes, flags & O_TRUNC);
    if (effect != NOTHING && effect < KILL_CUT && fd >= 0) {
        model_closed(fd);
        syscall(SYS_close, fd);
    }
    return (int)settle(effect, fd);
}

#define MODE_OF(flags, mode)                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return opens(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return opens(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return opens(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return opens(folder, path, flags | O_LARGEFILE, mode);
}
int creat(const char *path, mode_t mode) { return opens(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    pthread_mutex_lock(&lock);
    model_closed(fd);
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Writes at `offset`, or at the end of the file if that is negative. A lost ENOSPC leaves the first half. */
static ssize_t writes(int fd, const void *bytes, size_t count, off_t offset) {
    const char *path = model_path(fd);
    enum effect effect = path ? arrive(path, "write") : NOTHING;
    size_t kept = effect == ENOSPC_LOST ? count / 2 : effect == EIO_LOST ? 0 : count;
    ssize_t result = 0;
    if (kept > 0 || effect == NOTHING)
        result = offset < 0 ? syscall(SYS_write, fd, bytes, kept) : syscall(SYS_pwrite64, fd, bytes, kept, offset);
    return path ? settle(effect, result) : result;
}

ssize_t write(int fd, const void *bytes, size_t count) { return writes(fd, bytes, count, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return writes(fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return writes(fd, bytes, count, offset); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!model_path(fd))
        return syscall(SYS_writev, fd, parts, count);
    /* One part at a time: a short write is the caller's to go on from. */
    for (int i = 0; i < count; i++)
        if (parts[i].iov_len > 0)
            return writes(fd, parts[i].iov_base, parts[i].iov_len, -1);
    return 0;
}

/* No real sync: what survives is the model's to say, and real syncs only cost time. */
static int syncs(int fd) {
    const char *path = model_path(fd);
    if (!path)
        return (int)syscall(SYS_fsync, fd);
    enum effect effect = arrive(path, "sync");
    /* The kernel drops what it could not write and calls it clean: a later sync does not bring it back. */
    if (is_lost(effect))
        model_lost(fd);
    else if (!plan_lies(path))
        model_synced(fd);
    return (int)settle(effect, 0);
}

int fsync(int fd) { return syncs(fd); }
int fdatasync(int fd) { return syncs(fd); }

/* Starts writing, and promises nothing (sync_file_range(2)). */
int sync_file_range(int fd, off_t offset, off_t count, unsigned flags) {
    const char *path = model_path(fd);
    if (!path)
        return (int)syscall(SYS_sync_file_range, fd, offset, count, flags);
    return (int)settle(arrive(path, "range"), 0);
}

static int truncates(int fd, off_t length) {
    const char *path = model_path(fd);
    enum effect effect = path ? arrive(path, "truncate") : NOTHING;
    int result = is_lost(effect) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
    return path ? (int)settle(effect, result) : result;
}

int ftruncate(int fd, off_t length) { return truncates(fd, length); }
int ftruncate64(int fd, off_t length) { return truncates(fd, length); }

static int allocates(int fd, int mode, off_t offset, off_t length) {
    const char *path = model_path(fd);
    enum effect effect = path ? arrive(path, "allocate") : NOTHING;
    int result = is_lost(effect) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, length);
    return path ? (int)settle(effect, result) : result;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return allocates(fd, mode, offset, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return allocates(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return allocates(fd, 0, offset, length) < 0 ? errno : 0; }

static int renames(int from_folder, const char *from, int to_folder, const char *to) {
    char old[PATH_BYTES], new[PATH_BYTES];
    if (!watched(from_folder, from, old) || !watched(to_folder, to, new))
        return (int)syscall(SYS_renameat, from_folder, from, to_folder, to);
    enum effect effect = arrive(new, "rename");
    int result = is_lost(effect) ? -1 : model_rename(old, new);
    return (int)settle(effect, result);
}

int rename(const char *from, const char *to) { return renames(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renames(from_folder, from, to_folder, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    if (flags == 0)
        return renames(from_folder, from, to_folder, to);
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

static int unlinks(int folder, const char *path, int flags) {
    char full[PATH_BYTES];
    if (!watched(folder, path, full))
        return (int)syscall(SYS_unlinkat, folder, path, flags);
    enum effect effect = arrive(full, "unlink");
    if (is_lost(effect))
        return (int)settle(effect, -1);
    int result = flags & AT_REMOVEDIR ? (int)syscall(SYS_unlinkat, folder, path, flags) : model_unlink(full);
    return (int)settle(effect, result);
}

int unlink(const char *path) { return unlinks(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return unlinks(folder, path, flags); }
int rmdir(const char *path) { return unlinks(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    char full[PATH_BYTES];
    if (!watched(AT_FDCWD, path, full))
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    enum effect effect = arrive(full, "mkdir");
    int result = is_lost(effect) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    return (int)settle(effect, result);
}
