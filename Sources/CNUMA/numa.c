// SPDX-License-Identifier: MIT OR Apache-2.0

#define _GNU_SOURCE
#include "CNUMA.h"

#if __has_include(<numaif.h>)
#include <numaif.h>
#else
// The kernel's header has the same names.
#include <linux/mempolicy.h>
#endif

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static long kernel_mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodes,
                         unsigned long nodes_max, unsigned flags) {
    return syscall(SYS_mbind, start, bytes, mode, nodes, nodes_max, flags);
}

static long kernel_get_mempolicy(int *mode, unsigned long *nodes, unsigned long nodes_max, void *address,
                                 unsigned flags) {
    return syscall(SYS_get_mempolicy, mode, nodes, nodes_max, address, flags);
}

static __typeof__(&kernel_mbind) bind_to = kernel_mbind;
static __typeof__(&kernel_get_mempolicy) get_policy = kernel_get_mempolicy;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *library = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return;
    void *found = dlsym(library, "mbind");
    if (found != NULL) bind_to = (__typeof__(bind_to))found;
    found = dlsym(library, "get_mempolicy");
    if (found != NULL) get_policy = (__typeof__(get_policy))found;
}

long cnuma_probe(void) {
    pthread_once(&once, load);
    return get_policy(NULL, NULL, 0, NULL, 0);
}

long cnuma_prefer(void *start, unsigned long bytes, const unsigned long *nodes, unsigned long nodes_max) {
    pthread_once(&once, load);
    return bind_to(start, bytes, MPOL_PREFERRED, nodes, nodes_max, MPOL_MF_MOVE);
}

long cnuma_node_of(void *address, int *node) {
    pthread_once(&once, load);
    return get_policy(node, NULL, 0, address, MPOL_F_NODE | MPOL_F_ADDR);
}

int cnuma_current_cpu(void) {
    unsigned cpu = 0;
    return syscall(SYS_getcpu, &cpu, NULL, NULL) < 0 ? -1 : (int)cpu;
}

int cnuma_affinity(unsigned char *mask, int bytes) { return (int)syscall(SYS_sched_getaffinity, 0, bytes, mask); }

int cnuma_pin(const unsigned long *mask, int bytes) { return (int)syscall(SYS_sched_setaffinity, 0, bytes, mask); }
