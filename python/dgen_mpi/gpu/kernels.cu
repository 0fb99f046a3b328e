// SPDX-License-Identifier: MIT OR Apache-2.0

// Fills and compares memory with any range of a data set. FORMAT.md says which bytes these are.
//
// One text for two compilers. NVRTC makes kernels of it, in which a thread is a lane of a warp. A C
// compiler makes functions of the same names, in which a warp is a loop over its lanes; tests hold
// these to the format where there is no GPU.
//
// A data set is cut into pieces of one length, a whole number of which is a block. A lane makes the
// words of one piece, in order, from a state that it finds or is given. The lanes of a warp put as
// much of their pieces into shared memory as goes into a tile, and then store or compare the tile
// together, so that each access to device memory is of whole lines.
//
// What a lane has is in registers: its address is not kept, and no array of it is indexed by what
// is not known at compile time.

typedef unsigned char U8;
typedef unsigned int U32;
typedef unsigned long long U64;

#define LANES 32
// Bytes of each piece in a tile: memory takes stretches of 256 at a third more speed than of 128.
#define TILE 256
#define TILE_PAIRS (TILE / 16)
// Before them is the last pair of the tile before. Rows begin at different banks.
#define ROW_PAIRS (TILE_PAIRS + 1)
// So many words of a row are made at once.
#define SPAN 16

#define CLASSES_MAX 33
#define RATIOS_MAX 32
#define RINGS_MAX 8
#define BASES_MAX 4
#define NO_END 0xffffffffu

#ifdef __CUDACC__

#define WARPS 4
// Lanes that jump together.
#define HELPERS 8
#define HELPER (threadIdx.x % HELPERS)
#define OF_HELPER(word, distance) \
    __shfl_xor_sync((1u << HELPERS) - 1 << threadIdx.x % LANES / HELPERS * HELPERS, word, distance)
#define DEVICE static __device__ __forceinline__
#define ALIGNED __align__(16)
#define UNROLLED _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")
#define OF_LANE(type, name) type name[1]
#define MINE(name) name[0]
#define EACH_LANE for (U32 lane = threadIdx.x % LANES, more = 1; more; more = 0)
#define ANY_LANE(condition) __any_sync(0xffffffffu, condition)
#define TOGETHER __syncwarp()
#define WARP_KERNEL(name, is_comparison, is_shifted, has_grains) \
    extern "C" __global__ void __launch_bounds__(WARPS * LANES) \
        name(const __grid_constant__ struct Call call) { \
        __shared__ struct Tile tiles[WARPS]; \
        U64 warp = (U64)blockIdx.x * WARPS + threadIdx.x / LANES; \
        if (warp * LANES < call.pieces) \
            make_pieces(&call, warp, &tiles[threadIdx.x / LANES], is_comparison, is_shifted, \
                        has_grains); \
    }
#define CHAIN_KERNEL(name, function) \
    extern "C" __global__ void name(const __grid_constant__ struct Call call) { \
        U64 chain = ((U64)blockIdx.x * blockDim.x + threadIdx.x) / HELPERS; \
        if (chain < call.threads) function(&call, chain); \
    }
#define THREAD_KERNEL(name, function) \
    extern "C" __global__ void name(const __grid_constant__ struct Call call) { \
        U64 thread = (U64)blockIdx.x * blockDim.x + threadIdx.x; \
        if (thread < call.threads) function(&call, thread); \
    }

#else

#define DEVICE static inline
#define ALIGNED __attribute__((aligned(16)))
#define UNROLLED
#define ROLLED
#define OF_LANE(type, name) type name[LANES]
#define MINE(name) name[lane]
#define EACH_LANE for (U32 lane = 0; lane < LANES; lane++)
#define ANY_LANE(condition) (condition)
#define HELPERS 1
#define HELPER 0
#define OF_HELPER(word, distance) word
#define CHAIN_KERNEL THREAD_KERNEL
#define TOGETHER
#define WARP_KERNEL(name, is_comparison, is_shifted, has_grains) \
    void name(const struct Call *call) { \
        struct Tile tile; \
        for (U64 warp = 0; warp * LANES < call->pieces; warp++) \
            make_pieces(call, warp, &tile, is_comparison, is_shifted, has_grains); \
    }
#define THREAD_KERNEL(name, function) \
    void name(const struct Call *call) { \
        for (U64 thread = 0; thread < call->threads; thread++) function(call, thread); \
    }

#endif

struct ALIGNED Pair {
    U64 a, b;
};

struct State {
    U64 a, b, c, d;
};

// What a warp has made and not yet stored: of each lane's piece a row, and its very first words.
struct Tile {
    struct Pair rows[LANES][ROW_PAIRS];
    struct Pair heads[LANES];
};

// The first `count` of k random words of a grain: it has `words` or one more, so that the grains
// before grain g have g * words + g * part / whole together. `whole` is 0 for ratio 1.
struct Ratio {
    U64 words, part, whole;
    // From one piece to the next, or one word more; the image of a state so far on.
    U64 piece_part;
    const U64 *step;
};

// Section 10 of the format. `turns` and `rest` are C(g) - 1 divided by the contents of the ring.
struct Ring {
    U64 begin, end, rate, has_changed, turns, rest;
};

// How numbers below `count` are scattered, but for the keys.
struct Order {
    U64 count, runs, low, high;
};

struct Class {
    U64 first, slots, content;
    struct Order order;
    U64 ratio_keys[6], ring_keys[6];
    U64 ratio_ends[RATIOS_MAX];
    struct Ring rings[RINGS_MAX];
};

struct Plan {
    U64 version, seed;
    // Version 1: blocks that differ. Version 2: slots that are zeros.
    U64 distinct, zeros;
    U64 block_words, grain_words, piece_words, piece_grains, pieces_per_block;
    U64 has_zeros_fill, run, class_count, ratio_count, ring_count;
    // Of each block of version 1, where a block is one piece: to the next block's.
    const U64 *block_step;
    struct Order order;
    U64 block_keys[6];
    struct Ratio ratios[RATIOS_MAX];
    struct Class classes[CLASSES_MAX];
};

struct Call {
    const struct Plan *plan;
    U8 *data;
    // The range, in bytes of the data set, and the pieces that have bytes of it.
    U64 offset, length, first_piece, pieces;
    // Where each piece begins, and its ratio; none where each lane finds that for itself.
    struct State *states;
    U8 *ratios;
    // A byte for each 2^shift bytes of the data set that has something wrong, and one for all.
    U8 *flags, *found;
    U64 shift;
    // Threads of kernels that do not work in warps; chains of those that find where pieces begin.
    U64 threads;
    // Pieces that one thread goes through to find where they begin, and the first such chain.
    U64 chain, first_chain, chains_per_block;
    // Tables of the jumps by 2^0, 2^1, ... words, and what is made into tables.
    const U64 *powers;
    U64 *tables;
    const U64 *polynomials;
    // States of the seed's stream: number i is at word i << base_shift.
    U64 base_shift, base_numbers[BASES_MAX];
    struct State bases[BASES_MAX];
};

// Section 1: the stream

DEVICE U64 rotate(U64 word, U32 count) { return word << count | word >> (64 - count); }

DEVICE U64 next(struct State *s) {
    U64 output = rotate(s->a + s->d, 23) + s->a;
    U64 t = s->b << 17;
    s->c ^= s->a;
    s->d ^= s->b;
    s->b ^= s->c;
    s->a ^= s->d;
    s->c ^= t;
    s->d = rotate(s->d, 45);
    return output;
}

// A table has, for each 4 bits of a state, the four words of the images of their 16 values, word by
// word: the lanes of a warp that look them up meet one line of 128 bytes.
#define TABLE_WORDS (64 * 4 * 16)

// Several lanes jump together, each with a part of the state, since what takes long is to wait for
// the table.
DEVICE struct State jump(const U64 *table, struct State s) {
    struct State sum = {0, 0, 0, 0};
    UNROLLED
    for (U32 step = 0; step < 64 / HELPERS; step++) {
        const U32 index = step * HELPERS / 16, group = step * HELPERS % 16 + HELPER;
        U64 word = index == 0 ? s.a : index == 1 ? s.b : index == 2 ? s.c : s.d;
        const U64 *entry = table + 64 * (16 * index + group) + (word >> 4 * group & 15);
        sum.a ^= entry[0], sum.b ^= entry[16], sum.c ^= entry[32], sum.d ^= entry[48];
    }
    UNROLLED
    for (U32 distance = 1; distance < HELPERS; distance *= 2) {
        sum.a ^= OF_HELPER(sum.a, distance), sum.b ^= OF_HELPER(sum.b, distance);
        sum.c ^= OF_HELPER(sum.c, distance), sum.d ^= OF_HELPER(sum.d, distance);
    }
    return sum;
}

DEVICE struct State jump_by(const U64 *powers, struct State s, U64 words) {
    ROLLED
    for (; words; words >>= 1, powers += TABLE_WORDS)
        if (words & 1) s = jump(powers, s);
    return s;
}

// The images of single bits, one for each thread: sums of the next 256 states.
DEVICE void make_table_bits(const struct Call *call, U64 thread) {
    U64 table = thread / 256;
    U32 bit = (U32)(thread % 256);
    U64 one = 1ull << bit % 64;
    struct State s = {bit / 64 == 0 ? one : 0, bit / 64 == 1 ? one : 0, bit / 64 == 2 ? one : 0,
                      bit / 64 == 3 ? one : 0};
    struct State sum = {0, 0, 0, 0};
    for (U32 word = 0; word < 4; word++) {
        U64 coefficients = call->polynomials[4 * table + word];
        for (U32 index = 0; index < 64; index++) {
            U64 mask = 0 - (coefficients >> index & 1);
            sum.a ^= s.a & mask, sum.b ^= s.b & mask, sum.c ^= s.c & mask, sum.d ^= s.d & mask;
            next(&s);
        }
    }
    U64 *entry = call->tables + 64 * (64 * table + bit / 4) + (1u << bit % 4);
    entry[0] = sum.a, entry[16] = sum.b, entry[32] = sum.c, entry[48] = sum.d;
}

// The images of all values of 4 bits: those of single bits are there.
DEVICE void make_table_sums(const struct Call *call, U64 thread) {
    U64 *entries = call->tables + 16 * thread;
    for (U32 value = 0; value < 16; value++) {
        U64 sum = 0;
        for (U32 bit = 1; bit < 16; bit <<= 1) sum ^= value & bit ? entries[bit] : 0;
        entries[value] = sum;
    }
}

// Section 8: mixing and scattering

DEVICE U64 mix(U64 a, U64 b) {
    U64 z = a + (b + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

// Divisions of short numbers are several times as fast.
DEVICE U64 quotient(U64 a, U64 b) {
    return (a | b) >> 32 ? a / b : (U64)((U32)a / (U32)b);
}

DEVICE U64 remainder_of(U64 a, U64 b) {
    return (a | b) >> 32 ? a % b : (U64)((U32)a % (U32)b);
}

DEVICE U64 permute(const struct Order *order, const U64 *keys, U64 count, U64 x) {
    if (count < 2) return x;
    U32 low = (U32)order->low, high = (U32)order->high;
    do {
        U64 l = x & ((1ull << low) - 1), h = x >> low;
        ROLLED
        for (U32 round = 0; round < 6; round += 2) {
            h ^= (l ^ keys[round]) * 0xD1342543DE82EF95ull >> (64 - high);
            if (low) l ^= (h ^ keys[round + 1]) * 0xD1342543DE82EF95ull >> (64 - low);
        }
        x = h << low | l;
    } while (x >= count);
    return x;
}

DEVICE U64 scatter(const struct Order *order, const U64 *keys, U64 run, U64 x) {
    if (run == 1) return permute(order, keys, order->runs, x);
    if (x >= order->runs * run) return x;
    U64 number = quotient(x, run);
    return permute(order, keys, order->runs, number) * run + (x - number * run);
}

// Sections 9 to 11: what a block holds

// Where a content begins, and its ratio.
struct Place {
    struct State state;
    U32 ratio;
};

// The generation of the last change of the content at a place in the order of its class.
DEVICE U64 generation_of(const struct Ring *ring, U64 place) {
    U64 million = 1000000, p = place - ring->begin, q = ring->end - ring->begin;
    if (!ring->has_changed || (ring->turns == 0 && p > ring->rest)) return 0;
    U64 turns = ring->turns - (p > ring->rest);
    // (p + 1) 10^6 / q, rounded up, of words of 64 bits.
    U64 thousand = (p + 1) * 1000, whole = quotient(thousand, q);
    U64 rest = (thousand - whole * q) * 1000, part = quotient(rest, q);
    U64 changes = turns * million + whole * 1000 + part + (rest != part * q);
    return quotient(changes + ring->rate - 1, ring->rate);
}

DEVICE struct Place place_of(const struct Plan *plan, U64 block) {
    struct Place place = {{0, 0, 0, 0}, RATIOS_MAX};
    U64 slot = scatter(&plan->order, plan->block_keys, plan->run, block);
    if (slot < plan->zeros || slot >= plan->order.count) return place;
    const struct Class *class_ = plan->classes;
    while (slot - class_->first >= class_->slots) class_++;
    U64 r = remainder_of(slot - class_->first, class_->order.count);
    place.ratio = 0;
    if (plan->ratio_count > 1) {
        U64 v = scatter(&class_->order, class_->ratio_keys, plan->run, r);
        while (v >= class_->ratio_ends[place.ratio]) place.ratio++;
    }
    U64 generation = 0;
    if (plan->ring_count > 0) {
        U64 v = scatter(&class_->order, class_->ring_keys, plan->run, r);
        for (U32 ring = 0; ring < plan->ring_count; ring++) {
            if (v >= class_->rings[ring].end) continue;
            generation = generation_of(&class_->rings[ring], v);
            break;
        }
    }
    U64 content = class_->content + r;
    U64 a = mix(mix(plan->seed, 2 * generation), content);
    U64 b = mix(mix(plan->seed, 2 * generation + 1), content);
    place.state.a = mix(a, 0), place.state.b = mix(a, 1);
    place.state.c = mix(b, 0), place.state.d = mix(b, 1);
    return place;
}

// Where pieces begin

DEVICE struct State state_at(const struct Call *call, U64 word) {
    U64 number = word >> call->base_shift;
    struct State s = call->bases[0];
    UNROLLED
    for (U32 index = 1; index < BASES_MAX; index++)
        if (call->base_numbers[index] == number) s = call->bases[index];
    return jump_by(call->powers, s, word & ((1ull << call->base_shift) - 1));
}

// Blocks of version 1 that are one piece each.
DEVICE void find_blocks(const struct Call *call, U64 thread) {
    const struct Plan *plan = call->plan;
    U64 start = thread * call->chain, content = (call->first_piece + start) % plan->distinct;
    struct State s = state_at(call, content * plan->block_words);
    for (U64 index = start; index < start + call->chain && index < call->pieces; index++) {
        if (HELPER == 0) call->states[index] = s, call->ratios[index] = 0;
        if (++content == plan->distinct) {
            content = 0;
            s = state_at(call, 0);
        } else {
            s = jump(plan->block_step, s);
        }
    }
}

// The pieces of blocks that are several.
DEVICE void find_parts(const struct Call *call, U64 thread) {
    const struct Plan *plan = call->plan;
    U64 chain = call->first_chain + thread, block = chain / call->chains_per_block;
    U64 start = (chain - block * call->chains_per_block) * call->chain;
    U64 end = start + call->chain < plan->pieces_per_block ? start + call->chain
                                                           : plan->pieces_per_block;
    struct Place place = {{0, 0, 0, 0}, 0};
    if (plan->version > 1) place = place_of(plan, block);
    const struct Ratio *ratio = &plan->ratios[place.ratio % RATIOS_MAX];
    U64 word = start * plan->piece_words, rest = 0;
    if (place.ratio < RATIOS_MAX && ratio->whole) {
        U64 parts = start * plan->piece_grains * ratio->part;
        word = start * plan->piece_grains * ratio->words + parts / ratio->whole;
        rest = parts % ratio->whole;
    }
    struct State s;
    if (plan->version > 1)
        s = place.ratio < RATIOS_MAX ? jump_by(call->powers, place.state, word) : place.state;
    else
        s = state_at(call, block % plan->distinct * plan->block_words + word);
    for (U64 part = start; part < end; part++) {
        U64 index = block * plan->pieces_per_block + part - call->first_piece;
        if (index < call->pieces && HELPER == 0)
            call->states[index] = s, call->ratios[index] = (U8)place.ratio;
        if (place.ratio == RATIOS_MAX) continue;
        s = jump(ratio->step, s);
        if (ratio->whole && (rest += ratio->piece_part) >= ratio->whole) {
            rest -= ratio->whole;
            next(&s);
        }
    }
}

// Section 4: the words of a piece

struct Lane {
    struct State s;
    // The random words of a grain that are repeated, and what comes after them.
    struct State repeated, following;
    // Words up to the next turn, words of the grain after that, and words that are repeated.
    U32 left, rest, period;
    U32 words, part, whole, sum;
    U32 is_repeating, grain_words, has_zeros_fill;
};

DEVICE void begin_piece(const struct Call *call, U64 index, struct Lane *it) {
    const struct Plan *plan = call->plan;
    struct Place place = {{0, 0, 0, 0}, RATIOS_MAX};
    U64 piece = call->first_piece + index;
    if (index < call->pieces) {
        if (call->states) {
            place.state = call->states[index];
            place.ratio = call->ratios[index];
        } else {
            place = place_of(plan, piece);
        }
    }
    it->s = it->repeated = it->following = place.state;
    it->left = NO_END, it->rest = 0, it->period = 0, it->is_repeating = 0;
    it->words = 0, it->part = 0, it->whole = 0, it->sum = 0;
    it->grain_words = (U32)plan->grain_words, it->has_zeros_fill = (U32)plan->has_zeros_fill;
    if (place.ratio == RATIOS_MAX || !plan->ratios[place.ratio].whole) return;
    const struct Ratio *ratio = &plan->ratios[place.ratio];
    it->left = 0;
    it->words = (U32)ratio->words, it->part = (U32)ratio->part, it->whole = (U32)ratio->whole;
    if (plan->pieces_per_block > 1) {
        U64 grain = piece % plan->pieces_per_block * plan->piece_grains;
        it->sum = (U32)(grain * ratio->part % ratio->whole);
    }
}

// Goes on to what comes next: a grain, or its random words once more.
DEVICE void turn(struct Lane *it) {
    if (it->rest == 0) {
        if (it->is_repeating) it->s = it->following;
        it->is_repeating = 0;
        it->left = it->words;
        // Two 32-bit numbers have a sum of 33 bits.
        if (it->whole - it->sum <= it->part) {
            it->sum -= it->whole - it->part;
            it->left++;
        } else {
            it->sum += it->part;
        }
        it->rest = it->grain_words - it->left;
        it->repeated = it->s;
        it->period = it->left;
        if (it->left % 2 == 0) {
            next(&it->repeated);
            it->period--;
        }
    } else {
        if (!it->is_repeating) it->following = it->s;
        it->is_repeating = 1;
        it->s = it->repeated;
        it->left = it->period < it->rest ? it->period : it->rest;
        if (it->has_zeros_fill) {
            // The stream of the state zero is zeros.
            it->s.a = it->s.b = it->s.c = it->s.d = 0;
            it->left = it->rest;
        }
        it->rest -= it->left;
    }
}

// Makes the next words of a piece: a row of the tile, or as much as the piece has.
DEVICE void make_row(struct Lane *it, struct Pair *row, U64 count, const int has_grains) {
    ROLLED
    for (U32 first = 0; first < TILE_PAIRS; first += SPAN / 2) {
        if (first * 16 >= count) return;
        if (has_grains && ANY_LANE(it->left < SPAN)) {
            U64 *words = (U64 *)(row + first);
            ROLLED
            for (U32 index = 0; index < SPAN; index++) {
                if (it->left == 0) turn(it);
                it->left--;
                words[index] = next(&it->s);
            }
            continue;
        }
        if (has_grains) it->left -= SPAN;
        UNROLLED
        for (U32 index = 0; index < SPAN / 2; index++) {
            struct Pair pair;
            pair.a = next(&it->s);
            pair.b = next(&it->s);
            row[first + index] = pair;
        }
    }
}

// Device memory

DEVICE void note(const struct Call *call, U64 position) {
    call->flags[(position >> call->shift) - (call->offset >> call->shift)] = 1;
    *call->found = 1;
}

// The 16 bytes from number `from` on of two pairs, below 16.
DEVICE struct Pair joined(struct Pair x, struct Pair y, U32 from) {
    U64 first = from < 8 ? x.a : x.b, second = from < 8 ? x.b : y.a, third = from < 8 ? y.a : y.b;
    U32 bits = from % 8 * 8;
    struct Pair pair;
    // A shift by 64 is none, hence in two steps.
    pair.a = first >> bits | second << (63 - bits) << 1;
    pair.b = second >> bits | third << (63 - bits) << 1;
    return pair;
}

// Stores or compares bytes `first` to `end` of a pair that belongs at a position, as far as they are
// in the range.
DEVICE void transfer(const struct Call *call, struct Pair made, U64 position, U32 first, U32 end,
                     const int is_comparison) {
    // Before the range, this is a large number.
    U64 place = position - call->offset;
    U8 *data = call->data + place;
    if (first == 0 && end == 16 && place < call->length && call->length - place >= 16) {
        if (!is_comparison) {
            *(struct Pair *)data = made;
        } else {
            struct Pair there = *(const struct Pair *)data;
            // A pair may have bytes of two flags.
            if (there.a != made.a) note(call, position), note(call, position + 7);
            if (there.b != made.b) note(call, position + 8), note(call, position + 15);
        }
        return;
    }
    ROLLED
    for (U32 index = first; index < end; index++) {
        if (place + index >= call->length) continue;
        U8 byte = (U8)((index < 8 ? made.a : made.b) >> index % 8 * 8);
        if (!is_comparison)
            data[index] = byte;
        else if (data[index] != byte)
            note(call, position + index);
    }
}

struct Prefetched {
    struct Pair pairs[TILE_PAIRS];
};

// Makes the pieces of a warp, and stores them or compares them. What is constant here is known where
// it is called.
//
// Memory is accessed in units of 16 bytes that are aligned. Where the data set's are not, each unit
// has the end of one pair of words and the beginning of the next. The unit between two pieces comes
// last; the first and the last one of the warp are not whole.
DEVICE void make_pieces(const struct Call *call, U64 warp, struct Tile *tile,
                        const int is_comparison, const int is_shifted, const int has_grains) {
    const U64 piece_bytes = 8 * call->plan->piece_words;
    const U64 start = (call->first_piece + warp * LANES) * piece_bytes;
    // Whether nothing has to be cut off.
    const int is_inside = start >= call->offset &&
                          start + LANES * piece_bytes <= call->offset + call->length;
    const U32 shift = is_shifted ? (U32)((U64)call->data - call->offset) % 16 : 0;
    const U32 rows_at_once = LANES / TILE_PAIRS;
    const U64 stride = rows_at_once * piece_bytes;
    OF_LANE(struct Lane, it);
    OF_LANE(struct Prefetched, there);
    EACH_LANE begin_piece(call, warp * LANES + lane, &MINE(it));
    ROLLED
    for (U64 column = 0; column < piece_bytes; column += TILE) {
        const int is_whole = is_inside && column + TILE <= piece_bytes;
        U8 *const data = call->data + (start - call->offset + column - shift);
        if (is_comparison && is_whole) {
            EACH_LANE {
                const U32 unit = lane % TILE_PAIRS;
                const U64 place = lane / TILE_PAIRS * piece_bytes + unit * 16;
                if (!is_shifted || column + unit > 0) {
                    UNROLLED
                    for (U32 index = 0; index < TILE_PAIRS; index++)
                        MINE(there).pairs[index] =
                            *(const struct Pair *)(data + place + index * stride);
                }
            }
        }
        EACH_LANE {
            struct Pair *row = tile->rows[lane];
            if (is_shifted) row[0] = row[TILE_PAIRS];
            make_row(&MINE(it), row + 1, piece_bytes - column, has_grains);
            if (is_shifted && column == 0) tile->heads[lane] = row[1];
        }
        TOGETHER;
        EACH_LANE {
            const U32 unit = lane % TILE_PAIRS;
            U64 differing = 0;
            if (is_whole && (!is_shifted || column + unit > 0)) {
                const U64 place = lane / TILE_PAIRS * piece_bytes + unit * 16;
                UNROLLED
                for (U32 index = 0; index < TILE_PAIRS; index++) {
                    const struct Pair *made =
                        &tile->rows[index * rows_at_once + lane / TILE_PAIRS][unit];
                    struct Pair pair =
                        is_shifted ? joined(made[0], made[1], 16 - shift) : made[1];
                    if (is_comparison) {
                        struct Pair found = MINE(there).pairs[index];
                        differing |= (found.a ^ pair.a) | (found.b ^ pair.b);
                    } else {
                        *(struct Pair *)(data + place + index * stride) = pair;
                    }
                }
            }
            // Which of them differ is found out again: few do.
            if (!is_whole || differing) {
                ROLLED
                for (U32 index = 0; index < TILE_PAIRS; index++) {
                    const U32 row = index * rows_at_once + lane / TILE_PAIRS;
                    const U64 byte = column + unit * 16;
                    const struct Pair *made = &tile->rows[row][unit];
                    if (byte >= piece_bytes || (is_shifted && byte == 0)) continue;
                    struct Pair pair =
                        is_shifted ? joined(made[0], made[1], 16 - shift) : made[1];
                    transfer(call, pair, start + row * piece_bytes + byte - shift, 0, 16,
                             is_comparison);
                }
            }
        }
        TOGETHER;
    }
    if (is_shifted) {
        EACH_LANE {
            const U32 last = (U32)(piece_bytes - 1) % TILE / 16 + 1;
            struct Pair end = tile->rows[lane][last], head = tile->heads[(lane + 1) % LANES];
            transfer(call, joined(end, head, 16 - shift), start + (lane + 1) * piece_bytes - shift,
                     0, lane + 1 < LANES ? 16 : shift, is_comparison);
            if (lane + 1 == LANES)
                transfer(call, joined(head, head, 16 - shift), start - shift, shift, 16,
                         is_comparison);
        }
    }
}

// A compiler that is asked for one kernel has less to do.
#ifdef KERNEL
WARP_KERNEL(KERNEL, IS_COMPARISON, IS_SHIFTED, HAS_GRAINS)
#else
THREAD_KERNEL(table_bits, make_table_bits)
THREAD_KERNEL(table_sums, make_table_sums)
CHAIN_KERNEL(blocks, find_blocks)
CHAIN_KERNEL(parts, find_parts)
#ifndef NO_WARP_KERNELS
WARP_KERNEL(fill_plain_aligned, 0, 0, 0)
WARP_KERNEL(fill_plain_shifted, 0, 1, 0)
WARP_KERNEL(fill_grains_aligned, 0, 0, 1)
WARP_KERNEL(fill_grains_shifted, 0, 1, 1)
WARP_KERNEL(compare_plain_aligned, 1, 0, 0)
WARP_KERNEL(compare_plain_shifted, 1, 1, 0)
WARP_KERNEL(compare_grains_aligned, 1, 0, 1)
WARP_KERNEL(compare_grains_shifted, 1, 1, 1)
#endif
#endif
