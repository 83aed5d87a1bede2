// What a card computes of the codecs `topk-2bit` and `int8`: which values of a piece are kept, and
// the scale and levels of a block. What must come out is written in protocol/SPEC.md, "Payloads";
// protocol/src/codec is the reference, and the bits must be equal.
//
// One block of THREADS threads works on one piece after the other. A piece's value i lies at
// start + i / row * stride + i % row. Nothing here depends on the order in which threads run:
// counts are whole numbers, and floating-point operations are single and rounded to nearest.

#define THREADS 256
#define INFINITE 0x7f800000u
#define SMALLEST_NORMAL 0x00800000u

struct Piece {
    unsigned long long start;
    unsigned len;
    unsigned row;
    unsigned stride;
    unsigned limit;
};

// Where value i of a piece lies.
static __device__ unsigned long long place(struct Piece piece, unsigned i) {
    return piece.start + (unsigned long long)(i / piece.row) * piece.stride + i % piece.row;
}

// The bits of a magnitude, which order as magnitudes do.
static __device__ unsigned key_of(float value) {
    return __float_as_uint(value) & 0x7fffffffu;
}

// Keeps the `limit` largest magnitudes of every piece, ties going to the lowest index, zeros never.
//
// out: counts[piece]; indices and kept from piece * room on, by ascending index; bad[0] is set
// where a value is NaN or infinite.
extern "C" __global__ void select_largest(
    const float *values, const struct Piece *pieces, unsigned pieces_len, unsigned room,
    unsigned *counts, unsigned *indices, float *kept, unsigned *bad) {
    __shared__ unsigned histogram[256];
    __shared__ unsigned scan[2][THREADS];
    __shared__ unsigned present, prefix, wanted;
    const unsigned thread = threadIdx.x;

    for (unsigned number = blockIdx.x; number < pieces_len; number += gridDim.x) {
        const struct Piece piece = pieces[number];

        // How many values are not zero?
        if (thread == 0) {
            present = 0;
            prefix = 0;
            wanted = piece.limit;
        }
        __syncthreads();
        unsigned mine = 0;
        for (unsigned i = thread; i < piece.len; i += THREADS) {
            const unsigned key = key_of(values[place(piece, i)]);
            mine += key > 0;
            if (key >= INFINITE) atomicOr(bad, 1u);
        }
        atomicAdd(&present, mine);
        __syncthreads();

        // The smallest kept key, eight bits at a time from the top: `wanted` becomes how many of
        // the keys equal to it are kept. Where all that is not zero is kept, both stay zero.
        const bool all = present <= piece.limit;
        for (int shift = 24; shift >= 0 && !all; shift -= 8) {
            histogram[thread] = 0;
            __syncthreads();
            for (unsigned i = thread; i < piece.len; i += THREADS) {
                const unsigned key = key_of(values[place(piece, i)]);
                const bool candidate = shift == 24 || (key ^ prefix) >> (shift + 8) == 0;
                if (candidate) atomicAdd(&histogram[(key >> shift) & 255u], 1u);
            }
            __syncthreads();
            if (thread == 0) {
                unsigned digit = 255;
                while (histogram[digit] < wanted) {
                    wanted -= histogram[digit];
                    digit -= 1;
                }
                prefix |= digit << shift;
            }
            __syncthreads();
        }
        const unsigned threshold = all ? 0 : prefix;
        const unsigned open = all ? 0 : wanted;

        // In index order: everything above the threshold, and the first `open` equal to it. Above
        // and equal are counted together, in the low and high halves of one number: a piece has at
        // most 65,536 values, and 256 of them are looked at together.
        unsigned above_before = 0, equal_before = 0;
        for (unsigned tile = 0; tile < piece.len; tile += THREADS) {
            const unsigned i = tile + thread;
            const float value = i < piece.len ? values[place(piece, i)] : 0.0f;
            const unsigned key = key_of(value);
            const unsigned above = key > threshold;
            const unsigned equal = open > 0 && key == threshold && i < piece.len;
            scan[0][thread] = above | equal << 16;
            __syncthreads();
            unsigned from = 0;
            for (unsigned distance = 1; distance < THREADS; distance *= 2) {
                unsigned sum = scan[from][thread];
                if (thread >= distance) sum += scan[from][thread - distance];
                scan[1 - from][thread] = sum;
                from = 1 - from;
                __syncthreads();
            }
            const unsigned here = scan[from][thread], whole = scan[from][THREADS - 1];
            const unsigned above_rank = above_before + (here & 0xffffu) - above;
            const unsigned equal_rank = equal_before + (here >> 16) - equal;
            if (above || (equal && equal_rank < open)) {
                const unsigned taken = equal_rank < open ? equal_rank : open;
                const unsigned long long slot =
                    (unsigned long long)number * room + above_rank + taken;
                indices[slot] = i;
                kept[slot] = value;
            }
            above_before += whole & 0xffffu;
            equal_before += whole >> 16;
            __syncthreads();
        }
        if (thread == 0) {
            counts[number] = above_before + (equal_before < open ? equal_before : open);
        }
        __syncthreads();
    }
}

// The scale and the levels of every block of at most THREADS values: scale = largest / 127, a level
// is |value| / scale rounded to nearest, halves away from zero. A block whose scale is no normal
// number counts as zero.
//
// out: scales[piece]; levels at the values' own positions; bad[0] as above.
extern "C" __global__ void quantize_blocks(
    const float *values, const struct Piece *pieces, unsigned pieces_len, float *scales,
    signed char *levels, unsigned *bad) {
    __shared__ unsigned largest[THREADS];
    const unsigned thread = threadIdx.x;

    for (unsigned number = blockIdx.x; number < pieces_len; number += gridDim.x) {
        const struct Piece piece = pieces[number];
        const bool mine = thread < piece.len;
        const float value = mine ? values[place(piece, thread)] : 0.0f;
        largest[thread] = key_of(value);
        __syncthreads();
        for (unsigned distance = THREADS / 2; distance > 0; distance /= 2) {
            if (thread < distance && largest[thread + distance] > largest[thread]) {
                largest[thread] = largest[thread + distance];
            }
            __syncthreads();
        }
        const unsigned key = largest[0];
        if (thread == 0 && key >= INFINITE) atomicOr(bad, 1u);
        const float scale = __fdiv_rn(__uint_as_float(key), 127.0f);
        const bool normal = key < INFINITE && __float_as_uint(scale) >= SMALLEST_NORMAL;
        int level = 0;
        if (normal) {
            const float ratio = __fdiv_rn(__uint_as_float(key_of(value)), scale);
            const int whole = (int)ratio;
            level = whole + (__fsub_rn(ratio, (float)whole) >= 0.5f);
            if (value < 0.0f) level = -level;
        }
        if (mine) levels[place(piece, thread)] = (signed char)level;
        if (thread == 0) scales[number] = normal ? scale : 0.0f;
        __syncthreads();
    }
}
