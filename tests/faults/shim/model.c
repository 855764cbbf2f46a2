#define _GNU_SOURCE
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plan.h"

enum { MOST_FDS = 65536 };

struct file {
    struct file *next;
    dev_t device;
    ino_t inode;
    /* Where it is now, in the stash if it was unlinked; of a folder, where it is. */
    char path[PATH_BYTES];
    int is_folder;
    off_t synced;
};

enum change_kind { MADE, RENAMED, UNLINKED };

/* A change of names that no sync of its folder has made last. */
struct change {
    struct change *before;
    enum change_kind kind;
    char path[PATH_BYTES];
    char from[PATH_BYTES];
    /* The file that was at `path`, in the stash; empty if there was none. */
    char stashed[PATH_BYTES];
};

static struct file *files;
static struct change *last_change;
static struct file *by_fd[MOST_FDS];
static unsigned stash_count;

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory)
        plan_fail("out of memory");
    return memory;
}

static int status(const char *path, struct stat *out) {
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}

static int move(const char *from, const char *to) {
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

static struct file *find(const struct stat *status) {
    struct file *file = files;
    while (file && (file->device != status->st_dev || file->inode != status->st_ino))
        file = file->next;
    return file;
}

/* `path` is another's from here on. */
static void moved(const char *from, const char *to) {
    for (struct file *file = files; file; file = file->next)
        if (strcmp(file->path, from) == 0)
            snprintf(file->path, PATH_BYTES, "%s", to);
}

static struct change *remember(enum change_kind kind, const char *path) {
    struct change *change = allocate(sizeof *change);
    change->kind = kind;
    snprintf(change->path, PATH_BYTES, "%s", path);
    change->before = last_change;
    last_change = change;
    return change;
}

/* Links the file at `path`, if there is one, into the stash, under the name it puts in `stashed`. */
static int keep(const char *path, char *stashed) {
    struct stat before;
    if (status(path, &before) < 0)
        return 0;
    snprintf(stashed, PATH_BYTES, "%.*s/%u", PATH_BYTES / 2, plan_stash(), stash_count++);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, stashed, 0) < 0)
        plan_fail("the stash is not empty, or not on the disk of the watched folders");
    return 1;
}

void model_opened(int fd, const char *path, int made, int emptied) {
    struct stat now;
    if (fd >= MOST_FDS || syscall(SYS_fstat, fd, &now) < 0)
        plan_fail("a file descriptor is out of bounds");
    struct file *file = find(&now);
    if (!file) {
        file = allocate(sizeof *file);
        *file = (struct file){.next = files, .device = now.st_dev, .inode = now.st_ino, .synced = now.st_size};
        file->is_folder = S_ISDIR(now.st_mode);
        snprintf(file->path, PATH_BYTES, "%s", path);
        files = file;
    }
    if (made) {
        /* An inode that was another file's before. */
        snprintf(file->path, PATH_BYTES, "%s", path);
        remember(MADE, path);
    }
    if (made || emptied)
        file->synced = 0;
    by_fd[fd] = file;
}

void model_closed(int fd) {
    if (fd >= 0 && fd < MOST_FDS)
        by_fd[fd] = NULL;
}

const char *model_path(int fd) { return fd >= 0 && fd < MOST_FDS && by_fd[fd] ? by_fd[fd]->path : NULL; }

static int is_in(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

void model_synced(int fd) {
    struct file *file = by_fd[fd];
    struct stat now;
    if (!file->is_folder) {
        if (syscall(SYS_fstat, fd, &now) == 0)
            file->synced = now.st_size;
        return;
    }
    for (struct change **at = &last_change; *at;) {
        struct change *change = *at;
        if (!is_in(change->path, file->path)) {
            at = &change->before;
            continue;
        }
        *at = change->before;
        free(change);
    }
}

void model_lost(int fd) {
    struct file *file = by_fd[fd];
    if (!file->is_folder && syscall(SYS_truncate, file->path, file->synced) < 0)
        plan_fail("a file cannot be cut");
}

int model_rename(const char *from, const char *to) {
    char stashed[PATH_BYTES] = "";
    if (keep(to, stashed))
        moved(to, stashed);
    if (move(from, to) < 0)
        return -1;
    struct change *change = remember(RENAMED, to);
    snprintf(change->from, PATH_BYTES, "%s", from);
    snprintf(change->stashed, PATH_BYTES, "%s", stashed);
    moved(from, to);
    return 0;
}

int model_unlink(const char *path) {
    char stashed[PATH_BYTES] = "";
    int existed = keep(path, stashed);
    if (syscall(SYS_unlinkat, AT_FDCWD, path, 0) < 0)
        return -1;
    if (existed) {
        snprintf(remember(UNLINKED, path)->stashed, PATH_BYTES, "%s", stashed);
        moved(path, stashed);
    }
    return 0;
}

static void undo(const struct change *change) {
    if (change->kind == MADE)
        syscall(SYS_unlinkat, AT_FDCWD, change->path, 0);
    if (change->kind == RENAMED)
        move(change->path, change->from);
    if (change->stashed[0])
        move(change->stashed, change->path);
}

void model_cut(enum cut cut) {
    struct stat now;
    if (cut == CUT_NONE)
        return;
    for (struct file *file = files; file; file = file->next) {
        if (file->is_folder || status(file->path, &now) < 0 || now.st_ino != file->inode || now.st_size <= file->synced)
            continue;
        off_t left = cut == CUT_ALL ? file->synced : file->synced + (now.st_size - file->synced) / 2;
        if (syscall(SYS_truncate, file->path, left) < 0)
            plan_fail("a file cannot be cut");
    }
    for (struct change *change = last_change; change && cut == CUT_ALL; change = change->before)
        undo(change);
}
