#define _GNU_SOURCE
#include "plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_FAULTS = 8, MOST_COUNTERS = 256, NAME_BYTES = 32, MOST_ROOTS = 8 };

static const char *const EFFECTS[] = {"nothing",     "eio-done", "eio-lost",  "enospc-done",
                                      "enospc-lost", "kill-cut", "kill-kept", "kill-torn"};

struct fault {
    char class[NAME_BYTES], operation[NAME_BYTES];
    unsigned ordinal;
    enum effect effect;
};

struct counter {
    const char *class, *operation;
    unsigned count;
};

static struct fault faults[MOST_FAULTS];
static int fault_count;
static struct counter counters[MOST_COUNTERS];
static int counter_count;
static char roots[MOST_ROOTS][PATH_BYTES];
static int root_count;
static char stash[PATH_BYTES];
static int trace = -1;
static int something_lost;
/* The class whose syncs only say that they are. */
static char lying[NAME_BYTES];

_Noreturn void plan_fail(const char *what) {
    dprintf(2, "faults: %s\n", what);
    syscall(SYS_exit_group, 99);
    __builtin_unreachable();
}

static void load_fault(const char *text) {
    struct fault *fault = &faults[fault_count++];
    char effect[NAME_BYTES];
    int read = sscanf(text, "%31[^:]:%31[^:]:%u:%31s", fault->class, fault->operation, &fault->ordinal, effect);
    if (read != 4)
        plan_fail("a fault is class:operation:ordinal:effect");
    for (unsigned i = 1; i < sizeof EFFECTS / sizeof *EFFECTS; i++)
        if (strcmp(effect, EFFECTS[i]) == 0)
            fault->effect = i;
    if (fault->effect == NOTHING)
        plan_fail("there is no such effect");
}

void plan_load(void) {
    char text[MOST_ROOTS * PATH_BYTES], *rest = text;
    const char *given = getenv("PDS_FAULTS_ROOTS");
    snprintf(text, sizeof text, "%s", given ? given : "");
    for (char *root; (root = strsep(&rest, ":")) && root_count < MOST_ROOTS;)
        if (*root)
            snprintf(roots[root_count++], PATH_BYTES, "%s", root);
    if ((given = getenv("PDS_FAULTS_STASH")))
        snprintf(stash, sizeof stash, "%s", given);
    if ((given = getenv("PDS_FAULTS_TRACE")) && *given)
        trace = (int)syscall(SYS_openat, AT_FDCWD, given, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (given && *given && trace < 0)
        plan_fail("the trace cannot be opened");
    if ((given = getenv("PDS_FAULTS_LYING")))
        snprintf(lying, sizeof lying, "%s", given);
    if ((given = getenv("PDS_FAULTS_SECONDS")))
        alarm((unsigned)atoi(given));
    given = getenv("PDS_FAULTS_PLAN");
    snprintf(text, sizeof text, "%s", given ? given : "");
    rest = text;
    for (char *fault; (fault = strsep(&rest, ";")) && fault_count < MOST_FAULTS;)
        if (*fault)
            load_fault(fault);
}

int plan_watches(const char *path) {
    for (int i = 0; i < root_count; i++) {
        size_t length = strlen(roots[i]);
        if (strncmp(path, roots[i], length) == 0 && (path[length] == 0 || path[length] == '/'))
            return 1;
    }
    return 0;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* File classes by the names that RocksDB and pds-log-server give. */
static const char *class_of(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    if (ends_with(name, ".log"))
        return "log";
    if (ends_with(name, ".sst"))
        return "table";
    if (strncmp(name, "MANIFEST", 8) == 0)
        return "manifest";
    if (strstr(name, ".guard"))
        return "guard";
    if (strncmp(name, "OPTIONS", 7) != 0 && (strcmp(name, "CURRENT") == 0 || ends_with(name, ".dbtmp")))
        return "CURRENT";
    struct stat status;
    int there = syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0;
    return there && S_ISDIR(status.st_mode) ? "folder" : "other";
}

enum effect plan_arrive(const char *path, const char *operation) {
    const char *class = class_of(path);
    int i = 0;
    while (i < counter_count && (counters[i].class != class || strcmp(counters[i].operation, operation) != 0))
        i++;
    if (i == MOST_COUNTERS)
        plan_fail("too many kinds of points");
    if (i == counter_count)
        counters[counter_count++] = (struct counter){class, operation, 0};
    unsigned ordinal = ++counters[i].count;
    enum effect effect = NOTHING;
    for (int j = 0; j < fault_count; j++)
        if (faults[j].ordinal == ordinal && strcmp(faults[j].class, class) == 0 &&
            strcmp(faults[j].operation, operation) == 0)
            effect = faults[j].effect;
    something_lost |= effect == EIO_LOST || effect == ENOSPC_LOST;
    int takes_room = !strcmp(operation, "write") || !strcmp(operation, "create") || !strcmp(operation, "allocate");
    if (effect == NOTHING && takes_room && plan_disk_is_full())
        effect = ENOSPC_LOST;
    if (trace >= 0) {
        char line[PATH_BYTES];
        int length = snprintf(line, sizeof line, "point %s %s %u %s %s\n", class, operation, ordinal, EFFECTS[effect],
                              strrchr(path, '/') + 1);
        if (syscall(SYS_write, trace, line, length) != length)
            plan_fail("the trace cannot be written");
    }
    return effect;
}

int plan_lies(const char *path) { return lying[0] && strcmp(class_of(path), lying) == 0; }

int plan_power_fails_at_end(void) { return something_lost; }

const char *plan_stash(void) { return stash; }
