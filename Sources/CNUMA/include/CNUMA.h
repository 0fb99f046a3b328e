// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Calls that print nothing and end nothing: libnuma's wrappers of the kernel's memory policies, with its header. Its bigger
// functions, such as numa_tonode_memory, write to stderr when a call fails. The library is loaded where it is there, once a
// policy is wanted; where it is not, the kernel is called as it would.

#ifndef DGEN_CNUMA_H
#define DGEN_CNUMA_H

#if __has_include(<numaif.h>)
#include <numaif.h>
#else
// The kernel's header has the same names.
#include <linux/mempolicy.h>
#endif

/// `mbind` of libnuma, or of the kernel.
long cnuma_mbind(void *start, unsigned long bytes, int mode, const unsigned long *nodes, unsigned long nodes_max,
                 unsigned flags);

/// `get_mempolicy` of libnuma, or of the kernel.
long cnuma_get_mempolicy(int *mode, unsigned long *nodes, unsigned long nodes_max, void *address, unsigned flags);

/// The processor of the calling thread; -1 where that is not known.
int cnuma_current_cpu(void);

/// Gets the processors that the calling thread may run on; gives the bytes of the mask that the kernel knows.
int cnuma_affinity(unsigned char *mask, int bytes);

/// Sets them.
int cnuma_pin(const unsigned long *mask, int bytes);

#endif
