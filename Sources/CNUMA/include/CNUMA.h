// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Calls that print nothing and end nothing: libnuma's wrappers of the kernel's memory policies. Its bigger
// functions, such as numa_tonode_memory, write to stderr when a call fails. The library is loaded where it is there, once a
// policy is wanted; where it is not, the kernel is called as it would.

#ifndef DGEN_CNUMA_H
#define DGEN_CNUMA_H

/// Asks for the policy of this thread: `get_mempolicy`, which changes nothing.
long cnuma_probe(void);

/// Prefers nodes for pages, also for those that are there: `mbind` of libnuma, or of the kernel.
long cnuma_prefer(void *start, unsigned long bytes, const unsigned long *nodes, unsigned long nodes_max);

/// Gets the node that a page is on: `get_mempolicy` of libnuma, or of the kernel.
long cnuma_node_of(void *address, int *node);

/// The processor of the calling thread; -1 where that is not known.
int cnuma_current_cpu(void);

/// Gets the processors that the calling thread may run on; gives the bytes of the mask that the kernel knows.
int cnuma_affinity(unsigned char *mask, int bytes);

/// Sets them.
int cnuma_pin(const unsigned long *mask, int bytes);

#endif
