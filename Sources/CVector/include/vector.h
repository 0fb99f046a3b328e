// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Eight 64-bit lanes as one vector. In Swift 6.3 `^`, `|` and the shifts of SIMD8<UInt64> are written
// lane by lane, and LLVM leaves part of an unrolled loop scalar; the same operations from here stay
// vectors (38 instead of 23 GB/s). Each is compiled for the instruction set of the target that uses
// it. May go when the standard library's operators are builtins.

#ifndef DGEN_CVECTOR_H
#define DGEN_CVECTOR_H

#include <stdint.h>

typedef uint64_t cvector_u64x8 __attribute__((ext_vector_type(8)));
typedef int64_t cvector_i64x8 __attribute__((ext_vector_type(8)));
// The same without the alignment of the vector, for memory of the caller's.
typedef uint64_t cvector_u64x8_unaligned __attribute__((ext_vector_type(8), aligned(1)));
typedef uint64_t cvector_u64x4_unaligned __attribute__((ext_vector_type(4), aligned(1)));

// So that Swift does not look whether there is a pointer.
#pragma clang assume_nonnull begin

#define CVECTOR_INLINE static inline __attribute__((always_inline))

// Whether a vector is a single register; a constant for each target.
CVECTOR_INLINE int cvector_is_one_register(void) {
#if defined(__AVX512F__)
    return 1;
#else
    return 0;
#endif
}

CVECTOR_INLINE cvector_u64x8 cvector_add(cvector_u64x8 a, cvector_u64x8 b) { return a + b; }
CVECTOR_INLINE cvector_u64x8 cvector_xor(cvector_u64x8 a, cvector_u64x8 b) { return a ^ b; }
// One instruction in AVX-512, which clang does not choose where `a ^ b` has another use.
CVECTOR_INLINE cvector_u64x8 cvector_xor3(cvector_u64x8 a, cvector_u64x8 b, cvector_u64x8 c) {
#if defined(__AVX512F__)
    return (cvector_u64x8)__builtin_ia32_pternlogq512_mask((cvector_i64x8)a, (cvector_i64x8)b,
                                                           (cvector_i64x8)c, 0x96, 0xFF);
#else
    return a ^ b ^ c;
#endif
}
CVECTOR_INLINE cvector_u64x8 cvector_or(cvector_u64x8 a, cvector_u64x8 b) { return a | b; }
CVECTOR_INLINE cvector_u64x8 cvector_and_not(cvector_u64x8 a, cvector_u64x8 b) { return a & ~b; }
CVECTOR_INLINE cvector_u64x8 cvector_multiply(cvector_u64x8 a, cvector_u64x8 b) { return a * b; }
// By less than 64.
CVECTOR_INLINE cvector_u64x8 cvector_shift_left(cvector_u64x8 a, uint64_t bits) { return a << bits; }
CVECTOR_INLINE cvector_u64x8 cvector_shift_right(cvector_u64x8 a, uint64_t bits) { return a >> bits; }
// Ones where a word of `a` is below that of `b`.
CVECTOR_INLINE cvector_u64x8 cvector_below(cvector_u64x8 a, cvector_u64x8 b) { return (cvector_u64x8)(a < b); }
CVECTOR_INLINE cvector_u64x8 cvector_shift_left_17(cvector_u64x8 a) { return a << 17; }
CVECTOR_INLINE cvector_u64x8 cvector_rotate_left_23(cvector_u64x8 a) { return (a << 23) | (a >> 41); }
CVECTOR_INLINE cvector_u64x8 cvector_rotate_left_45(cvector_u64x8 a) { return (a << 45) | (a >> 19); }

CVECTOR_INLINE cvector_u64x8 cvector_load(const void *source) {
    return *(const cvector_u64x8_unaligned *)source;
}
CVECTOR_INLINE void cvector_store(void *target, cvector_u64x8 a) {
    *(cvector_u64x8_unaligned *)target = a;
}

// The first four words from or to `low`, the others from or to `high`.
CVECTOR_INLINE cvector_u64x8 cvector_load_halves(const void *low, const void *high) {
    return __builtin_shufflevector(*(const cvector_u64x4_unaligned *)low, *(const cvector_u64x4_unaligned *)high,
                                   0, 1, 2, 3, 4, 5, 6, 7);
}
CVECTOR_INLINE void cvector_store_halves(void *low, void *high, cvector_u64x8 a) {
    *(cvector_u64x4_unaligned *)low = __builtin_shufflevector(a, a, 0, 1, 2, 3);
    *(cvector_u64x4_unaligned *)high = __builtin_shufflevector(a, a, 4, 5, 6, 7);
}

// Words of `a`, numbers 0 to 7, and of `b`, 8 to 15.
CVECTOR_INLINE cvector_u64x8 cvector_choose(cvector_u64x8 numbers, cvector_u64x8 a, cvector_u64x8 b) {
#if defined(__AVX512F__)
    return (cvector_u64x8)__builtin_ia32_vpermi2varq512((cvector_i64x8)a, (cvector_i64x8)numbers,
                                                        (cvector_i64x8)b);
#else
    cvector_u64x8 chosen;
    for (int word = 0; word < 8; word++)
        chosen[word] = numbers[word] < 8 ? a[numbers[word]] : b[numbers[word] - 8];
    return chosen;
#endif
}

// The cache line in which `place` lies, and what it holds; where loading whole lines saves nothing, `place`
// itself and nothing.
CVECTOR_INLINE const void *cvector_line(const void *place) {
#if defined(__AVX512F__)
    return (const void *)((uintptr_t)place & ~(uintptr_t)63);
#else
    return place;
#endif
}
CVECTOR_INLINE cvector_u64x8 cvector_load_line(const void *line) {
#if defined(__AVX512F__)
    return *(const cvector_u64x8 *)line;
#else
    return (cvector_u64x8){0};
#endif
}
// The vector at `place`, or where lines are loaded, words of `line`, numbers 0 to 7, and of `next`.
CVECTOR_INLINE cvector_u64x8 cvector_load_across(const void *place, cvector_u64x8 numbers,
                                                 cvector_u64x8 line, cvector_u64x8 next) {
#if defined(__AVX512F__)
    return cvector_choose(numbers, line, next);
#else
    return *(const cvector_u64x8_unaligned *)place;
#endif
}

// Asks for the cache line at `place`, which need not exist.
CVECTOR_INLINE void cvector_prefetch(const void *place) { __builtin_prefetch(place, 0, 3); }

// Past the caches, for memory that is larger than they are: its lines need not be read first, and what
// is in the caches stays there. The target is aligned to 64. Other threads may see these stores late:
// a fence goes before telling them.
CVECTOR_INLINE void cvector_store_past_cache(void *target, cvector_u64x8 a) {
    __builtin_nontemporal_store(a, (cvector_u64x8 *)target);
}
static inline void cvector_fence(void) {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#else
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

// The bits of `a` where `mask` has ones, those of `b` elsewhere.
CVECTOR_INLINE cvector_u64x8 cvector_select(cvector_u64x8 mask, cvector_u64x8 a, cvector_u64x8 b) {
    return (a & mask) | (b & ~mask);
}

typedef uint32_t cvector_u32x16 __attribute__((ext_vector_type(16)));
typedef int32_t cvector_i32x16 __attribute__((ext_vector_type(16)));
typedef float cvector_f32x16 __attribute__((ext_vector_type(16)));
typedef cvector_u32x16 cvector_u32x16_unaligned __attribute__((aligned(1)));
typedef cvector_f32x16 cvector_f32x16_unaligned __attribute__((aligned(1)));

// Sixteen words of 32 bits, in place: the upper 24 bits of each as a part of one, times `span`, plus `low`; each
// operation rounded on its own.
CVECTOR_INLINE void cvector_make_uniform(void *place, float low, float span) {
#pragma clang fp contract(off)
    cvector_u32x16 words = *(const cvector_u32x16_unaligned *)place;
    // No word reaches the sign, so that the conversion of signed numbers will do, which every processor has.
    cvector_f32x16 unit = __builtin_convertvector((cvector_i32x16)(words >> 8), cvector_f32x16) * 0x1p-24f;
    *(cvector_f32x16_unaligned *)place = low + span * unit;
}

#pragma clang assume_nonnull end

CVECTOR_INLINE int cvector_is_zero(cvector_u64x8 a) { return __builtin_reduce_or(a) == 0; }

// The three stages of an 8 x 8 transpose: exchange single lanes, pairs, halves between two rows.
CVECTOR_INLINE cvector_u64x8 cvector_even_lanes(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
}
CVECTOR_INLINE cvector_u64x8 cvector_odd_lanes(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
}
#if defined(__AVX512F__)
// One instruction (VSHUFI64X2) takes two pairs of each row, so both stages are alike: even pairs, then
// even pairs of those, are pair 0 of four rows.
CVECTOR_INLINE cvector_u64x8 cvector_even_pairs(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13);
}
CVECTOR_INLINE cvector_u64x8 cvector_odd_pairs(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
}
CVECTOR_INLINE cvector_u64x8 cvector_low_halves(cvector_u64x8 a, cvector_u64x8 b) {
    return cvector_even_pairs(a, b);
}
CVECTOR_INLINE cvector_u64x8 cvector_high_halves(cvector_u64x8 a, cvector_u64x8 b) {
    return cvector_odd_pairs(a, b);
}
#else
// Where a vector is two registers, the last stage costs nothing, and without it each half is a 4 x 4 transpose.
CVECTOR_INLINE cvector_u64x8 cvector_even_pairs(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
}
CVECTOR_INLINE cvector_u64x8 cvector_odd_pairs(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
CVECTOR_INLINE cvector_u64x8 cvector_low_halves(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
}
CVECTOR_INLINE cvector_u64x8 cvector_high_halves(cvector_u64x8 a, cvector_u64x8 b) {
    return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
#endif

// The level of the x86-64 psABI that processor and operating system support: 1 to 4; 0 elsewhere.
#if defined(__x86_64__)
#include <cpuid.h>

CVECTOR_INLINE uint64_t cvector_enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

CVECTOR_INLINE int cvector_has(uint32_t bits, uint32_t mask) { return (bits & mask) == mask; }

static inline int cvector_x86_level(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 1;
    // FMA, MOVBE, OSXSAVE, AVX, F16C.
    if (!cvector_has(c, 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29)) return 1;
    uint64_t enabled = cvector_enabled_state();
    if ((enabled & 0x6) != 0x6) return 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 1;
    uint32_t extended = b;
    // BMI1, AVX2, BMI2.
    if (!cvector_has(extended, 1u << 3 | 1u << 5 | 1u << 8)) return 1;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d)) return 1;
    // LZCNT.
    if (!cvector_has(c, 1u << 5)) return 1;
    // AVX-512 F, DQ, CD, BW, VL, and the wide registers saved by the operating system.
    if ((enabled & 0xE6) != 0xE6) return 3;
    return cvector_has(extended, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) ? 4 : 3;
}
#else
static inline int cvector_x86_level(void) { return 0; }
#endif

#endif
