// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What C++'s library asks of C libraries since 2.32: whether there is but one thread. None, and it takes care.

char __libc_single_threaded = 0;
