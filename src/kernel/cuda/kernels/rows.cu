// Work on whole rows between the products: embedding, residual and layer norm, activations, rotary positions, pooling.
//
// The residual path stays in f32; what the next product reads is of the products' type T. A warp takes a row and holds
// it in registers, so that each number is read and written once: these kernels wait for memory and nothing else.
#include "device.cuh"

constexpr int ROW_THREADS = 128;
constexpr int ROWS_OF_BLOCK = ROW_THREADS / WARP;

// A row in a warp's registers: four numbers a lane, CHUNKS times over. The width is a multiple of four.
template <int CHUNKS> struct Row {
    float numbers[CHUNKS][4];
    int width;

    DEVICE explicit Row(int width) : width(width) {}

    DEVICE static int column(int chunk) { return (chunk * WARP + warp_lane()) * 4; }

    template <class Change> DEVICE void each(Change change) {
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
            if (column(chunk) < width) change(column(chunk), numbers[chunk]);
        }
    }

    template <class T> DEVICE void add(const T *from) {
        each([from](int column, float (&numbers)[4]) {
            const Four<T> four = *reinterpret_cast<const Four<T> *>(from + column);
#pragma unroll
            for (int at = 0; at < 4; at++) numbers[at] += to_float(four.numbers[at]);
        });
    }

    template <class T> DEVICE void store(T *to) {
        each([to](int column, float (&numbers)[4]) {
            Four<T> four;
#pragma unroll
            for (int at = 0; at < 4; at++) four.numbers[at] = from_float<T>(numbers[at]);
            *reinterpret_cast<Four<T> *>(to + column) = four;
        });
    }

    DEVICE void clear() {
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
#pragma unroll
            for (int at = 0; at < 4; at++) numbers[chunk][at] = 0.0f;
        }
    }

    // To mean 0 and variance 1, then scaled and shifted. The variance is of the differences from the mean: the sum of
    // squares would lose what large means leave.
    DEVICE void normalise(const float *scale, const float *shift, float epsilon) {
        float sum = 0.0f;
        each([&sum](int, float (&numbers)[4]) { sum += numbers[0] + numbers[1] + numbers[2] + numbers[3]; });
        const float mean = warp_sum(sum) / width;
        float squares = 0.0f;
        each([&squares, mean](int, float (&numbers)[4]) {
#pragma unroll
            for (int at = 0; at < 4; at++) {
                numbers[at] -= mean;
                squares += numbers[at] * numbers[at];
            }
        });
        const float factor = rsqrtf(warp_sum(squares) / width + epsilon);
        each([=](int column, float (&numbers)[4]) {
            const Four<float> scales = *reinterpret_cast<const Four<float> *>(scale + column);
            const Four<float> shifts = *reinterpret_cast<const Four<float> *>(shift + column);
#pragma unroll
            for (int at = 0; at < 4; at++) {
                numbers[at] = numbers[at] * factor * scales.numbers[at] + shifts.numbers[at];
            }
        });
    }
};

DEVICE int row_of_warp() { return blockIdx.x * ROWS_OF_BLOCK + threadIdx.x / WARP; }

// rows and input = norm(words[ids] + positions[places]); `positions` may be absent.
template <class T, int CHUNKS>
DEVICE void embed(const float *words, const float *positions, const unsigned int *ids, const unsigned int *places,
                  const float *scale, const float *shift, float epsilon, float *rows, T *input, int n_rows, int width) {
    const int at = row_of_warp();
    if (at >= n_rows) return;
    Row<CHUNKS> row(width);
    row.clear();
    row.add(words + static_cast<size_t>(ids[at]) * width);
    if (positions) row.add(positions + static_cast<size_t>(places[at]) * width);
    row.normalise(scale, shift, epsilon);
    row.store(rows + static_cast<size_t>(at) * width);
    row.store(input + static_cast<size_t>(at) * width);
}

// The sum of the residual path and a product (which may be absent), normalised, becomes the next product's input; the
// residual path takes the normalised sum where norms stand after the parts, else the sum itself.
template <class T, int CHUNKS>
DEVICE void residual_norm(float *rows, const T *product, const float *scale, const float *shift, float epsilon,
                          T *input, int keep_normalised, int n_rows, int width) {
    const int at = row_of_warp();
    if (at >= n_rows) return;
    float *path = rows + static_cast<size_t>(at) * width;
    Row<CHUNKS> row(width);
    row.clear();
    row.add(path);
    if (product) row.add(product + static_cast<size_t>(at) * width);
    if (!keep_normalised && product) row.store(path);
    row.normalise(scale, shift, epsilon);
    if (keep_normalised) row.store(path);
    row.store(input + static_cast<size_t>(at) * width);
}

constexpr int ELEMENT_THREADS = 256;

// The numbers of `kernel::Activation`, in its order.
enum Activation { IDENTITY, GELU, GELU_TANH, RELU, SILU };

DEVICE float logistic_times(float x, float y) { return x / (1.0f + exp2f(y * -1.44269504f)); }

DEVICE float activated(float x, int activation) {
    switch (activation) {
    case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    // x (1 + tanh(y)) / 2 is x times the logistic function of 2 y.
    case GELU_TANH: return logistic_times(x, 1.59576912f * x * (1.0f + 0.044715f * x * x));
    case RELU: return fmaxf(x, 0.0f);
    case SILU: return logistic_times(x, x);
    default: return x;
    }
}

// numbers = activation(numbers)
template <class T> DEVICE void activate(T *numbers, int activation, unsigned int n_packs) {
    const unsigned int at = blockIdx.x * ELEMENT_THREADS + threadIdx.x;
    if (at >= n_packs) return;
    Pack<T> *packs = reinterpret_cast<Pack<T> *>(numbers);
    Pack<T> pack = packs[at];
#pragma unroll
    for (int i = 0; i < Pack<T>::COUNT; i++) {
        pack.numbers[i] = from_float<T>(activated(to_float(pack.numbers[i]), activation));
    }
    packs[at] = pack;
}

// numbers = numbers * activation(gate)
template <class T> DEVICE void gate(T *numbers, const T *gates, int activation, unsigned int n_packs) {
    const unsigned int at = blockIdx.x * ELEMENT_THREADS + threadIdx.x;
    if (at >= n_packs) return;
    Pack<T> *packs = reinterpret_cast<Pack<T> *>(numbers);
    Pack<T> pack = packs[at];
    const Pack<T> open = reinterpret_cast<const Pack<T> *>(gates)[at];
#pragma unroll
    for (int i = 0; i < Pack<T>::COUNT; i++) {
        pack.numbers[i] = from_float<T>(to_float(pack.numbers[i]) * activated(to_float(open.numbers[i]), activation));
    }
    packs[at] = pack;
}

// Turns the queries and keys of every row by the angles of its place in its text. A thread turns one pair of numbers of
// one head; `lines` are the heads of queries and keys together. Angles: places x half.
template <class T>
DEVICE void rotate(T *query_key_value, const unsigned int *places, const float *cosines, const float *sines, int n_rows,
                   int lines, int head_dim, int half) {
    const size_t at = static_cast<size_t>(blockIdx.x) * ELEMENT_THREADS + threadIdx.x;
    if (at >= static_cast<size_t>(n_rows) * lines * half) return;
    const int pair = at % half;
    const int line = at / half % lines;
    const size_t row = at / half / lines;
    const size_t angle = static_cast<size_t>(places[row]) * half + pair;
    // The values, half as many as queries and keys together, follow them in a row.
    T *head = query_key_value + row * (lines / 2 * 3 * head_dim) + line * head_dim;
    const float x = to_float(head[pair]), y = to_float(head[pair + half]);
    head[pair] = from_float<T>(x * cosines[angle] - y * sines[angle]);
    head[pair + half] = from_float<T>(x * sines[angle] + y * cosines[angle]);
}

constexpr int POOL_THREADS = 128;

enum Pooling { CLS, MAX, MEAN, MEAN_SQRT_LENGTH, WEIGHTED_MEAN, LAST_TOKEN };

// One number of a text's row: threads of a block take neighbouring columns, so that every row is read as a whole.
// The first `unpooled` rows of a text are left out unless nothing else is there; a text without a token is zeros.
KERNEL(pool, POOL_THREADS,
       (const float *rows, const unsigned int *offsets, int unpooled, int mode, float *pooled, int width, int stride,
        int first_column)) {
    const int column = blockIdx.y * POOL_THREADS + threadIdx.x;
    if (column >= width) return;
    const unsigned int begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    float *to = pooled + static_cast<size_t>(blockIdx.x) * stride + first_column + column;
    const unsigned int length = end - begin;
    if (length == 0) {
        *to = 0.0f;
        return;
    }
    const unsigned int left_out = unpooled < static_cast<int>(length) ? unpooled : 0;
    const float *numbers = rows + static_cast<size_t>(begin) * width + column;
    const float count = static_cast<float>(length - left_out);
    float sum = 0.0f, largest = LEAST, weights = 0.0f;
    switch (mode) {
    case CLS: *to = numbers[static_cast<size_t>(left_out) * width]; return;
    case LAST_TOKEN: *to = numbers[static_cast<size_t>(length - 1) * width]; return;
    default: break;
    }
    for (unsigned int row = left_out; row < length; row++) {
        const float number = numbers[static_cast<size_t>(row) * width];
        // Positions count from the start of the text even where a prompt is left out.
        const float weight = mode == WEIGHTED_MEAN ? static_cast<float>(row + 1) : 1.0f;
        sum += weight * number;
        weights += weight;
        largest = fmaxf(largest, number);
    }
    switch (mode) {
    case MAX: *to = largest; return;
    case MEAN: *to = sum / count; return;
    case MEAN_SQRT_LENGTH: *to = sum / sqrtf(count); return;
    default: *to = sum / weights; return;
    }
}

// Each kernel under a name of its own for every type of product, and for every width that a warp can hold.
#define NORMS(T, suffix, CHUNKS, columns)                                                                              \
    KERNEL(embed_##suffix##_##columns, ROW_THREADS,                                                                    \
           (const float *words, const float *positions, const unsigned int *ids, const unsigned int *places,           \
            const float *scale, const float *shift, float epsilon, float *rows, T *input, int n_rows, int width)) {    \
        embed<T, CHUNKS>(words, positions, ids, places, scale, shift, epsilon, rows, input, n_rows, width);            \
    }                                                                                                                  \
    KERNEL(residual_norm_##suffix##_##columns, ROW_THREADS,                                                            \
           (float *rows, const T *product, const float *scale, const float *shift, float epsilon, T *input,            \
            int keep_normalised, int n_rows, int width)) {                                                             \
        residual_norm<T, CHUNKS>(rows, product, scale, shift, epsilon, input, keep_normalised, n_rows, width);         \
    }

#define ROWS(T, suffix)                                                                                                \
    NORMS(T, suffix, 4, 512)                                                                                           \
    NORMS(T, suffix, 8, 1024)                                                                                          \
    NORMS(T, suffix, 16, 2048)                                                                                         \
    KERNEL(activate_##suffix, ELEMENT_THREADS, (T * numbers, int activation, unsigned int n_packs)) {                  \
        activate<T>(numbers, activation, n_packs);                                                                     \
    }                                                                                                                  \
    KERNEL(gate_##suffix, ELEMENT_THREADS, (T * numbers, const T *gates, int activation, unsigned int n_packs)) {      \
        gate<T>(numbers, gates, activation, n_packs);                                                                  \
    }                                                                                                                  \
    KERNEL(rotate_##suffix, ELEMENT_THREADS,                                                                           \
           (T * query_key_value, const unsigned int *places, const float *cosines, const float *sines, int n_rows,     \
            int lines, int head_dim, int half)) {                                                                      \
        rotate<T>(query_key_value, places, cosines, sines, n_rows, lines, head_dim, half);                             \
    }

ROWS(float, f32)
ROWS(F16, f16)
ROWS(Bf16, bf16)
