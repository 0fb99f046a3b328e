// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Calls that print nothing and end nothing: libnuma's wrappers of the kernel's memory policies. Its
// bigger functions, such as numa_tonode_memory, write to stderr when a call fails.

#ifndef DGEN_CNUMA_SHIM_H
#define DGEN_CNUMA_SHIM_H

#include <numa.h>
#include <numaif.h>
#include <sys/syscall.h>
#include <unistd.h>

// The struct has a flexible end, which Swift does not import.
static inline unsigned long *cnuma_words(struct bitmask *mask) { return mask->maskp; }
static inline unsigned long cnuma_bits(struct bitmask *mask) { return mask->size; }

// A GNU extension that Swift's C library module does not show.
static inline int cnuma_current_cpu(void) {
    unsigned int cpu = 0;
    return syscall(SYS_getcpu, &cpu, (void *)0, (void *)0) < 0 ? -1 : (int)cpu;
}

// The same for the affinity mask of the calling thread; gives the bytes of it that the kernel knows.
static inline int cnuma_affinity(unsigned char *mask, int bytes) {
    return (int)syscall(SYS_sched_getaffinity, 0, bytes, mask);
}

#endif
