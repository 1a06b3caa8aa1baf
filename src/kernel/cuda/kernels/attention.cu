// Attention within packed sequences, fused: scores are never written, a tile of keys and values at a time passes through
// shared memory, and the softmax is kept up as the largest score so far changes (Dao et al., FlashAttention, arXiv
// 2205.14135; FlashAttention-2, 2307.08691).
//
// A row of `query_key_value` holds the queries of all heads, then the keys, then the values. A block of threads takes a
// block of queries of one sequence and one head: `blocks` says for each the sequence's first row, its length and the
// block's first query. Scores are powers of two: `scale` holds the logarithm's factor, and so does `bias`.
#include "device.cuh"

constexpr int ATTENTION_THREADS = 128;

struct Blocks {
    unsigned int first, length, query;
};

// What a score depends on beside its product: how far query and key are apart.
struct Distances {
    float scale;
    // Places that a query sees to either side; negative is all of them.
    int reach;
    // Heads x stride, a number for each distance from -(longest - 1) on; may be absent.
    const float *bias;
    int stride, longest;

    DEVICE float score(float product, int head, int query, int key, int length) const {
        const int distance = key - query;
        if (key >= length || (reach >= 0 && (distance > reach || -distance > reach))) return LEAST;
        const float power = product * scale;
        return bias ? power + bias[head * stride + longest - 1 + distance] : power;
    }

    // The first and the last but one key that any of the queries sees.
    DEVICE int first_key(int first_query) const { return reach < 0 ? 0 : max(first_query - reach, 0); }
    DEVICE int end_of_keys(int last_query, int length) const {
        return reach < 0 ? length : min(last_query + reach + 1, length);
    }
};

constexpr int WARP_QUERIES = 16;
constexpr int BLOCK_QUERIES = ATTENTION_THREADS / WARP * WARP_QUERIES;
constexpr int TILE_KEYS = 64;
// Bytes between rows of a tile beside the numbers: eight rows of a matrix then lie in different banks.
constexpr int PADDING = 8;

// Copies keys or values of a tile to shared memory, sixteen bytes at a time; what lies outside is zeros. A multiple of
// eight numbers a head keeps every address aligned.
template <class T, int DIM>
DEVICE void load_tile(T *tile, const T *rows, size_t stride, int first_key, int length, int head_dim) {
    constexpr int COUNT = Pack<T>::COUNT;
    constexpr int PACKS = DIM / COUNT;
    for (int at = threadIdx.x; at < TILE_KEYS * PACKS; at += ATTENTION_THREADS) {
        const int key = at / PACKS, column = at % PACKS * COUNT;
        Pack<T> pack = {};
        if (first_key + key < length && column < head_dim) {
            pack = *reinterpret_cast<const Pack<T> *>(rows + (first_key + key) * stride + column);
        }
        *reinterpret_cast<Pack<T> *>(tile + key * (DIM + PADDING) + column) = pack;
    }
}

// On matrix units. A warp has sixteen queries; of the 16x8 fragments that mma.m16n8k16 makes, a lane holds the columns
// `pair` and `pair + 1` of the rows `group` and `group + 8`.
template <class T, int DIM> struct Fragments {
    static constexpr int STEPS = DIM / 16, COLUMNS = TILE_KEYS / 8, OUTPUTS = DIM / 8;
    static constexpr int STRIDE = DIM + PADDING;

    const int lane = warp_lane(), group = lane / 4, pair = lane % 4 * 2;
    Pair queries[STEPS][4];
    float outputs[OUTPUTS][4] = {};
    // Of the rows `group` and `group + 8`. The sums are the lane's own until the end.
    float largest[2] = {LEAST, LEAST}, sums[2] = {0.0f, 0.0f};

    DEVICE void load_queries(const T *rows, size_t stride, int first_query, int length, int head_dim) {
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
#pragma unroll
            for (int part = 0; part < 4; part++) {
                const int query = first_query + group + part % 2 * 8, column = step * 16 + part / 2 * 8 + pair;
                const bool inside = query < length && column < head_dim;
                queries[step][part] = inside ? *reinterpret_cast<const Pair *>(rows + query * stride + column) : 0;
            }
        }
    }

    // The products of the queries with a tile of keys.
    DEVICE void score(float (&scores)[COLUMNS][4], const T *keys) const {
#pragma unroll
        for (int step = 0; step < STEPS; step++) {
#pragma unroll
            for (int column = 0; column < COLUMNS; column += 2) {
                // Matrices 0 and 1 are the dimensions of eight keys, 2 and 3 those of the next eight.
                const int key = column * 8 + lane / 16 * 8 + lane % 8, dimension = step * 16 + lane / 8 % 2 * 8;
                Pair right[4];
                load_matrices(right, keys + key * STRIDE + dimension);
                multiply_add<T>(scores[column], queries[step], right[0], right[1]);
                multiply_add<T>(scores[column + 1], queries[step], right[2], right[3]);
            }
        }
    }

    // Takes distances into account, and scales what was summed before to the largest score so far.
    DEVICE void raise_largest(float (&scores)[COLUMNS][4], const Distances &distances, int head, int first_query,
                              int first_key, int length) {
        float tile_largest[2] = {largest[0], largest[1]};
#pragma unroll
        for (int column = 0; column < COLUMNS; column++) {
#pragma unroll
            for (int at = 0; at < 4; at++) {
                const int query = first_query + group + at / 2 * 8, key = first_key + column * 8 + pair + at % 2;
                scores[column][at] = distances.score(scores[column][at], head, query, key, length);
                tile_largest[at / 2] = fmaxf(tile_largest[at / 2], scores[column][at]);
            }
        }
        float correction[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // The four lanes of a group have all columns of a row between them.
            tile_largest[half] = fmaxf(tile_largest[half], shuffle_xor(tile_largest[half], 1));
            tile_largest[half] = fmaxf(tile_largest[half], shuffle_xor(tile_largest[half], 2));
            correction[half] = exp2f(largest[half] - tile_largest[half]);
            largest[half] = tile_largest[half];
            sums[half] *= correction[half];
        }
#pragma unroll
        for (int output = 0; output < OUTPUTS; output++) {
#pragma unroll
            for (int at = 0; at < 4; at++) outputs[output][at] *= correction[at / 2];
        }
    }

    // Makes weights of scores, and sums them.
    DEVICE void weigh(float (&scores)[COLUMNS][4]) {
#pragma unroll
        for (int column = 0; column < COLUMNS; column++) {
#pragma unroll
            for (int at = 0; at < 4; at++) {
                // A row that has seen no key yet has LEAST for its largest, from which LEAST differs by nothing.
                const float score = scores[column][at];
                scores[column][at] = score > LEAST ? exp2f(score - largest[at / 2]) : 0.0f;
                sums[at / 2] += scores[column][at];
            }
        }
    }

    // Adds a tile of values by their weights.
    DEVICE void add_values(const float (&weights)[COLUMNS][4], const T *values) {
#pragma unroll
        for (int step = 0; step < TILE_KEYS / 16; step++) {
            // The sums of one product are laid out as the left side of the next.
            const Pair left[4] = {
                pair_of<T>(weights[2 * step][0], weights[2 * step][1]),
                pair_of<T>(weights[2 * step][2], weights[2 * step][3]),
                pair_of<T>(weights[2 * step + 1][0], weights[2 * step + 1][1]),
                pair_of<T>(weights[2 * step + 1][2], weights[2 * step + 1][3]),
            };
#pragma unroll
            for (int output = 0; output < OUTPUTS; output += 2) {
                // Matrices 0 and 1 are sixteen keys of eight dimensions, 2 and 3 those of the next eight.
                const int key = step * 16 + lane / 8 % 2 * 8 + lane % 8, dimension = output * 8 + lane / 16 * 8;
                Pair right[4];
                load_matrices_transposed(right, values + key * STRIDE + dimension);
                multiply_add<T>(outputs[output], left, right[0], right[1]);
                multiply_add<T>(outputs[output + 1], left, right[2], right[3]);
            }
        }
    }

    // Writes the rows of the queries; `context` is where the head's numbers of the sequence's first row stand.
    DEVICE void store(T *context, size_t width, int first_query, int length, int head_dim) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            sums[half] += shuffle_xor(sums[half], 1);
            sums[half] += shuffle_xor(sums[half], 2);
            const int query = first_query + group + half * 8;
            const float factor = 1.0f / sums[half];
            T *to = context + static_cast<size_t>(query) * width + pair;
#pragma unroll
            for (int output = 0; output < OUTPUTS; output++) {
                if (query < length && output * 8 + pair < head_dim) {
                    const float low = outputs[output][2 * half] * factor, high = outputs[output][2 * half + 1] * factor;
                    *reinterpret_cast<Pair *>(to + output * 8) = pair_of<T>(low, high);
                }
            }
        }
    }
};

template <class T, int DIM>
DEVICE void attend(const T *query_key_value, T *context, const Blocks *blocks, int n_heads, int head_dim,
                   const Distances &distances) {
    SHARED(T, keys, TILE_KEYS *(DIM + PADDING));
    SHARED(T, values, TILE_KEYS *(DIM + PADDING));

    const Blocks block = blocks[blockIdx.x];
    const int head = blockIdx.y, length = block.length;
    const size_t width = static_cast<size_t>(n_heads) * head_dim, stride = 3 * width;
    const T *rows = query_key_value + block.first * stride + head * head_dim;
    const int first_query = block.query + threadIdx.x / WARP * WARP_QUERIES;

    Fragments<T, DIM> fragments;
    fragments.load_queries(rows, stride, first_query, length, head_dim);
    const int end = distances.end_of_keys(min(static_cast<int>(block.query) + BLOCK_QUERIES, length) - 1, length);
    for (int first_key = distances.first_key(block.query) / TILE_KEYS * TILE_KEYS; first_key < end;
         first_key += TILE_KEYS) {
        load_tile<T, DIM>(keys, rows + width, stride, first_key, length, head_dim);
        load_tile<T, DIM>(values, rows + 2 * width, stride, first_key, length, head_dim);
        barrier();
        float scores[Fragments<T, DIM>::COLUMNS][4] = {};
        fragments.score(scores, keys);
        fragments.raise_largest(scores, distances, head, first_query, first_key, length);
        fragments.weigh(scores);
        fragments.add_values(scores, values);
        barrier();
    }
    fragments.store(context + block.first * width + head * head_dim, width, first_query, length, head_dim);
}

constexpr int QUERY_THREADS = 4;
constexpr int SINGLE_QUERIES = ATTENTION_THREADS / QUERY_THREADS;
constexpr int SINGLE_KEYS = 32;

// In f32, for which there are no matrix units that keep all its bits: four threads share a query, each with every
// fourth of its numbers.
template <int DIM>
DEVICE void attend_single(const float *query_key_value, float *context, const Blocks *blocks, int n_heads, int head_dim,
                          const Distances &distances) {
    SHARED(float, keys, SINGLE_KEYS *DIM);
    SHARED(float, values, SINGLE_KEYS *DIM);
    constexpr int OWN = DIM / QUERY_THREADS;

    const Blocks block = blocks[blockIdx.x];
    const int head = blockIdx.y, length = block.length;
    const size_t width = static_cast<size_t>(n_heads) * head_dim, stride = 3 * width;
    const float *rows = query_key_value + block.first * stride + head * head_dim;
    const int part = threadIdx.x % QUERY_THREADS, query = block.query + threadIdx.x / QUERY_THREADS;

    float numbers[OWN], outputs[OWN] = {};
#pragma unroll
    for (int at = 0; at < OWN; at++) {
        const int column = at * QUERY_THREADS + part;
        numbers[at] = query < length && column < head_dim ? rows[query * stride + column] : 0.0f;
    }
    float largest = LEAST, sum = 0.0f;

    const int end = distances.end_of_keys(min(static_cast<int>(block.query) + SINGLE_QUERIES, length) - 1, length);
    for (int first_key = distances.first_key(block.query); first_key < end; first_key += SINGLE_KEYS) {
        for (int at = threadIdx.x; at < SINGLE_KEYS * DIM; at += ATTENTION_THREADS) {
            const int key = first_key + at / DIM, column = at % DIM;
            const bool inside = key < length && column < head_dim;
            keys[at] = inside ? rows[key * stride + width + column] : 0.0f;
            values[at] = inside ? rows[key * stride + 2 * width + column] : 0.0f;
        }
        barrier();
        for (int key = 0; key < SINGLE_KEYS; key++) {
            float product = 0.0f;
#pragma unroll
            for (int at = 0; at < OWN; at++) product += numbers[at] * keys[key * DIM + at * QUERY_THREADS + part];
            product += shuffle_xor(product, 1);
            product += shuffle_xor(product, 2);
            const float score = distances.score(product, head, query, first_key + key, length);
            const float now_largest = fmaxf(largest, score);
            const float correction = exp2f(largest - now_largest);
            const float weight = score > LEAST ? exp2f(score - now_largest) : 0.0f;
            largest = now_largest;
            sum = sum * correction + weight;
#pragma unroll
            for (int at = 0; at < OWN; at++) {
                outputs[at] = outputs[at] * correction + weight * values[key * DIM + at * QUERY_THREADS + part];
            }
        }
        barrier();
    }
    if (query >= length) return;
    float *to = context + (block.first + static_cast<size_t>(query)) * width + head * head_dim;
#pragma unroll
    for (int at = 0; at < OWN; at++) {
        const int column = at * QUERY_THREADS + part;
        if (column < head_dim) to[column] = outputs[at] / sum;
    }
}

#define ATTENTION(T, suffix, DIM, call)                                                                                \
    KERNEL(attention_##suffix##_##DIM, ATTENTION_THREADS,                                                              \
           (const T *query_key_value, T *context, const Blocks *blocks, int n_heads, int head_dim, float scale,        \
            int reach, const float *bias, int stride, int longest)) {                                                  \
        const Distances distances{scale, reach, bias, stride, longest};                                                \
        call(query_key_value, context, blocks, n_heads, head_dim, distances);                                          \
    }

#define ATTENTIONS(DIM)                                                                                                \
    ATTENTION(float, f32, DIM, attend_single<DIM>)                                                                     \
    ATTENTION(F16, f16, DIM, (attend<F16, DIM>))                                                                       \
    ATTENTION(Bf16, bf16, DIM, (attend<Bf16, DIM>))

ATTENTIONS(16)
ATTENTIONS(32)
ATTENTIONS(64)
ATTENTIONS(128)
