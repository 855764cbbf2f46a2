/* The clock and the room of a disk, as a file of three numbers says: see `Control` in src/shim.rs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "plan.h"

/* All integers in the machine's byte order. */
struct control {
    /* Seconds that the clock is ahead. */
    int64_t ahead;
    /* Bytes that every disk has free; negative: as many as it has. */
    int64_t free;
    /* Whether the disk of the watched folders is full. */
    int64_t full;
};

static const volatile struct control *control;
static int64_t fixed = -1;

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("PDS_FAULTS_CLOCK");
    if (given && *given)
        fixed = atoll(given);
    given = getenv("PDS_FAULTS_CONTROL");
    if (!given || !*given)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, given, O_RDONLY | O_CLOEXEC, 0);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        plan_fail("the control file cannot be read");
    control = mapped;
}

int plan_disk_is_full(void) { return control && control->full; }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        if (fixed >= 0)
            *time = (struct timespec){.tv_sec = fixed};
        if (control)
            time->tv_sec += control->ahead;
    }
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

/* On the 64-bit systems that this is for, both spellings have one structure. */
static int answer(const char *name, const char *path, struct statvfs *out) {
    int (*real)(const char *, struct statvfs *) = (int (*)(const char *, struct statvfs *))dlsym(RTLD_NEXT, name);
    int result = real ? real(path, out) : -1;
    if (result == 0 && control && control->free >= 0)
        out->f_bavail = out->f_bfree = (fsblkcnt_t)control->free / out->f_frsize;
    return result;
}

int statvfs(const char *path, struct statvfs *out) { return answer("statvfs", path, out); }
int statvfs64(const char *path, struct statvfs64 *out) { return answer("statvfs64", path, (struct statvfs *)out); }
