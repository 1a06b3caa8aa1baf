// What is kept of a product of rows with centroids or queries, `scores`, rows x columns.
#include "device.cuh"

constexpr int SELECT_THREADS = 128;

// The layout of `kernel::Nearest`.
struct Nearest {
    unsigned int index;
    float score, second;

    // Of equal scores the lower index is the nearer.
    DEVICE void offer(const Nearest &other) {
        const bool nearer = other.score > score || (other.score == score && other.index < index);
        second = nearer ? fmaxf(score, other.second) : fmaxf(second, other.score);
        index = nearer ? other.index : index;
        score = nearer ? other.score : score;
    }
};

// The best column of each row and the score of the next best; a warp takes a row.
KERNEL(nearest, SELECT_THREADS, (const float *scores, Nearest *found, int n_rows, int n_columns)) {
    const int row = blockIdx.x * (SELECT_THREADS / WARP) + threadIdx.x / WARP;
    if (row >= n_rows) return;
    Nearest best{0xffffffffu, -INFINITY, -INFINITY};
    for (int column = warp_lane(); column < n_columns; column += WARP) {
        const float score = scores[static_cast<size_t>(row) * n_columns + column];
        best.offer({static_cast<unsigned int>(column), score, -INFINITY});
    }
#pragma unroll
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        best.offer({shuffle_xor(best.index, mask), shuffle_xor(best.score, mask), shuffle_xor(best.second, mask)});
    }
    if (warp_lane() == 0) found[row] = best;
}

struct Passed {
    unsigned int row, column;
    float score;
};

// The scores that are greater than their column's gate, in any order; `count` says how many there are, of which no more
// than `room` are kept.
KERNEL(passing, SELECT_THREADS, (const float *scores, const float *gates, Passed *passed, unsigned int *count,
                                 unsigned int room, unsigned int n_scores, unsigned int n_columns)) {
    const unsigned int at = blockIdx.x * SELECT_THREADS + threadIdx.x;
    if (at >= n_scores) return;
    const unsigned int column = at % n_columns;
    const float score = scores[at];
    if (!(score > gates[column])) return;
    const unsigned int ticket = take_ticket(count);
    if (ticket < room) passed[ticket] = {at / n_columns, column, score};
}
