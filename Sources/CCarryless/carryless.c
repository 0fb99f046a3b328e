// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Folding, after Vinodh Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009):
// a block of a message may be taken away where its product with a power of x is added to the one that lies so many bits on.
// Several blocks side by side, so that a multiplication need not wait for the last one.

#include "carryless.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define NARROW __attribute__((target("sse2,pclmul")))
#define WIDE __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,pclmul,vpclmulqdq")))

int ccarryless_width(void) {
    uint32_t a, b, c, d;
    // PCLMULQDQ; OSXSAVE and AVX.
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 1)) return 0;
    if ((c & (1u << 27 | 1u << 28)) != (1u << 27 | 1u << 28)) return 128;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 0xE6) != 0xE6) return 128;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 128;
    // AVX-512 F, DQ, BW, VL; VPCLMULQDQ.
    uint32_t wanted = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    return (b & wanted) == wanted && (c & 1u << 10) ? 512 : 128;
}

typedef __m128i block;
#define INLINE_NARROW NARROW static inline __attribute__((always_inline))
INLINE_NARROW block load(const void *place) { return _mm_loadu_si128(place); }
INLINE_NARROW block add(block a, block b) { return _mm_xor_si128(a, b); }
INLINE_NARROW block multiply_low(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x00); }
INLINE_NARROW block multiply_high(block a, block b) { return _mm_clmulepi64_si128(a, b, 0x11); }
INLINE_NARROW block of_words(uint64_t low, uint64_t high) {
    return _mm_set_epi64x((long long)high, (long long)low);
}

#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>

#define NARROW __attribute__((target("aes")))

int ccarryless_width(void) {
    // HWCAP_PMULL.
    return getauxval(AT_HWCAP) & 1u << 4 ? 128 : 0;
}

typedef uint64x2_t block;
#define INLINE_NARROW NARROW static inline __attribute__((always_inline))
INLINE_NARROW block load(const void *place) { return vreinterpretq_u64_u8(vld1q_u8(place)); }
INLINE_NARROW block add(block a, block b) { return veorq_u64(a, b); }
INLINE_NARROW block multiply_low(block a, block b) {
    return vreinterpretq_u64_p128(
        vmull_p64((poly64_t)vgetq_lane_u64(a, 0), (poly64_t)vgetq_lane_u64(b, 0)));
}
INLINE_NARROW block multiply_high(block a, block b) {
    return vreinterpretq_u64_p128(
        vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
}
INLINE_NARROW block of_words(uint64_t low, uint64_t high) {
    return vcombine_u64(vcreate_u64(low), vcreate_u64(high));
}

#else
int ccarryless_width(void) { return 0; }
#endif

#if defined(NARROW)
INLINE_NARROW ccarryless_block words_of(block a) {
    ccarryless_block words;
    memcpy(&words, &a, sizeof words);
    return words;
}

INLINE_NARROW block constant(ccarryless_block words) { return of_words(words.low, words.high); }

// A block that has come so far on to another one.
INLINE_NARROW block fold(block a, block distance, block onto) {
    return add(add(multiply_low(a, distance), multiply_high(a, distance)), onto);
}

NARROW ccarryless_block ccarryless_multiply(uint64_t a, uint64_t b) {
    return words_of(multiply_low(of_words(a, 0), of_words(b, 0)));
}

// Folds what is left of a message, whole blocks, onto the block before it.
INLINE_NARROW ccarryless_block fold_rest(block last, const uint8_t *place, const uint8_t *end,
                                         const ccarryless_constants *constants) {
    block by128 = constant(constants->by128);
    for (; place < end; place += 16) last = fold(last, by128, load(place));
    return words_of(last);
}

NARROW ccarryless_block ccarryless_fold_128(const void *message, size_t bytes, uint64_t state,
                                            const ccarryless_constants *constants) {
    const uint8_t *place = message, *end = place + bytes;
    block by1024 = constant(constants->by1024), by128 = constant(constants->by128);
    block rows[8];
    for (int row = 0; row < 8; row++) rows[row] = load(place + 16 * row);
    rows[0] = add(rows[0], of_words(state, 0));
    for (place += 128; (size_t)(end - place) >= 128; place += 128)
#pragma clang loop unroll(full)
        for (int row = 0; row < 8; row++) rows[row] = fold(rows[row], by1024, load(place + 16 * row));
    for (int row = 1; row < 8; row++) rows[row] = fold(rows[row - 1], by128, rows[row]);
    return fold_rest(rows[7], place, end, constants);
}
#else
// Never called; the symbols are there for the linker.
ccarryless_block ccarryless_multiply(uint64_t a, uint64_t b) { return (ccarryless_block){0, 0}; }
ccarryless_block ccarryless_fold_128(const void *message, size_t bytes, uint64_t state,
                                     const ccarryless_constants *constants) {
    return (ccarryless_block){0, 0};
}
#endif

#if defined(WIDE)
#define INLINE_WIDE WIDE static inline __attribute__((always_inline))
INLINE_WIDE __m512i fold_wide(__m512i a, __m512i distance, __m512i onto) {
    // One instruction for both sums.
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, distance, 0x00),
                                     _mm512_clmulepi64_epi128(a, distance, 0x11), onto, 0x96);
}
INLINE_WIDE __m512i constant_wide(ccarryless_block words) {
    return _mm512_broadcast_i32x4(_mm_set_epi64x((long long)words.high, (long long)words.low));
}

WIDE ccarryless_block ccarryless_fold_512(const void *message, size_t bytes, uint64_t state,
                                          const ccarryless_constants *constants) {
    const uint8_t *place = message, *end = place + bytes;
    __m512i by4096 = constant_wide(constants->by4096), by512 = constant_wide(constants->by512);
    __m512i rows[8];
    for (int row = 0; row < 8; row++) rows[row] = _mm512_loadu_si512(place + 64 * row);
    rows[0] = _mm512_xor_si512(rows[0],
                               _mm512_zextsi128_si512(_mm_set_epi64x(0, (long long)state)));
    for (place += 512; (size_t)(end - place) >= 512; place += 512)
#pragma clang loop unroll(full)
        for (int row = 0; row < 8; row++)
            rows[row] = fold_wide(rows[row], by4096, _mm512_loadu_si512(place + 64 * row));
    for (int row = 1; row < 8; row++) rows[row] = fold_wide(rows[row - 1], by512, rows[row]);
    __m512i last = rows[7];
    for (; (size_t)(end - place) >= 64; place += 64)
        last = fold_wide(last, by512, _mm512_loadu_si512(place));
    block by128 = constant(constants->by128);
    block one = fold(_mm512_extracti32x4_epi32(last, 0), by128, _mm512_extracti32x4_epi32(last, 1));
    one = fold(one, by128, _mm512_extracti32x4_epi32(last, 2));
    one = fold(one, by128, _mm512_extracti32x4_epi32(last, 3));
    return fold_rest(one, place, end, constants);
}
#else
// Never called; see above.
ccarryless_block ccarryless_fold_512(const void *message, size_t bytes, uint64_t state,
                                     const ccarryless_constants *constants) {
    return (ccarryless_block){0, 0};
}
#endif
