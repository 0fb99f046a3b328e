// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Carry-less multiplication, for which Swift has no word: of two words, and of long messages that are folded. Each function is
// compiled for the instructions that it needs and for no others, so that a caller asks `ccarryless_width` first.

#ifndef DGEN_CCARRYLESS_H
#define DGEN_CCARRYLESS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

typedef struct {
    uint64_t low;
    uint64_t high;
} ccarryless_block;

// By how many bits a message is folded at most, and what is multiplied for that: pairs of words, of which the first is for the
// first eight bytes of a block and the second for the others.
typedef struct {
    ccarryless_block by4096;
    ccarryless_block by1024;
    ccarryless_block by512;
    ccarryless_block by128;
} ccarryless_constants;

// The bits that one instruction of this processor multiplies: 0 where it has none, 128 (PCLMULQDQ, PMULL), or 512 (VPCLMULQDQ
// with AVX-512).
int ccarryless_width(void);

// The product of two words; for a width of 128 at least.
ccarryless_block ccarryless_multiply(uint64_t a, uint64_t b);

// The shortest messages that are folded.
#define CCARRYLESS_BYTES_MIN_128 128
#define CCARRYLESS_BYTES_MIN_512 512

// The last 16 bytes of what a message is folded to, `state` having been added to its first eight bytes; for a width of 128 at
// least. A multiple of 16 bytes, as many as above at least, of any alignment.
ccarryless_block ccarryless_fold_128(const void *message, size_t bytes, uint64_t state,
                                     const ccarryless_constants *constants);

// The same for a width of 512.
ccarryless_block ccarryless_fold_512(const void *message, size_t bytes, uint64_t state,
                                     const ccarryless_constants *constants);

#pragma clang assume_nonnull end

#endif
