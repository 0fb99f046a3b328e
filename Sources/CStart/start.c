// SPDX-License-Identifier: MIT OR Apache-2.0

#define _GNU_SOURCE
#include "start.h"

#include <dlfcn.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static int count;
static char **words;

// The C library gives constructors what `main` gets.
__attribute__((constructor)) static void keep(int given_count, char **given_words) {
    count = given_count;
    words = given_words;
}

int cstart_count(void) { return count; }

const char *cstart_word(int index) { return index >= 0 && index < count ? words[index] : NULL; }

static void (*on_exit_once)(void);

void cstart_on_exit(void (*look)(void)) { on_exit_once = look; }

static void look_once(void) {
    void (*look)(void) = on_exit_once;
    on_exit_once = NULL;
    if (look != NULL) look();
}

// Libraries find these two before those that have them, since the program is linked to show them.

__attribute__((visibility("default"), noreturn)) void _exit(int status) {
    look_once();
    for (;;) syscall(SYS_exit_group, status);
}

// How Open MPI tells the launcher that a process ends, and with which status, which is 1 where it does not start. May go when
// a failure of `MPI_Init` comes back to who called it.
__attribute__((visibility("default"))) int ompi_mpi_abort(void *communicator, int status) {
    look_once();
    int (*next)(void *, int) = (int (*)(void *, int))dlsym(RTLD_NEXT, "ompi_mpi_abort");
    return next == NULL ? 0 : next(communicator, status);
}
