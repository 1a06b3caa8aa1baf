// The collective operations of device.cuh that know its types; included by it after they are declared.
#pragma once

inline float to_float(Bf16 number) { return emulator::float_of_bfloat(number.bits); }
inline float to_float(F16 number) { return emulator::float_of_half(number.bits); }

template <class T> T from_float(float number);
template <> inline float from_float<float>(float number) { return number; }
template <> inline Bf16 from_float<Bf16>(float number) { return {emulator::bfloat_of_float(number)}; }
template <> inline F16 from_float<F16>(float number) { return {emulator::half_of_float(number)}; }

// The 16-bit numbers of every lane's row.
struct Matrices {
    std::uint16_t rows[32][8];

    explicit Matrices(const void *row) {
        std::uint16_t own[8];
        std::memcpy(own, row, sizeof own);
        emulator::exchange(own, sizeof own, rows);
    }
};

inline void load_matrices(Pair (&to)[4], const void *row) {
    const Matrices matrices(row);
    const unsigned int lane = threadIdx.x % 32;
    for (int matrix = 0; matrix < 4; matrix++) {
        const std::uint16_t *numbers = matrices.rows[matrix * 8 + lane / 4] + lane % 4 * 2;
        to[matrix] = numbers[0] | static_cast<Pair>(numbers[1]) << 16;
    }
}

inline void load_matrices_transposed(Pair (&to)[4], const void *row) {
    const Matrices matrices(row);
    const unsigned int lane = threadIdx.x % 32;
    for (int matrix = 0; matrix < 4; matrix++) {
        const auto *first = matrices.rows + matrix * 8 + lane % 4 * 2;
        to[matrix] = first[0][lane / 4] | static_cast<Pair>(first[1][lane / 4]) << 16;
    }
}

template <class T> float half_of_pair(Pair pair, int at) {
    return to_float(T{static_cast<unsigned short>(pair >> (16 * at))});
}

// The fragments of mma.m16n8k16 as the PTX manual lays them out: lane = 4 * group + member. Of the left side, register r
// holds row group + 8 * (r % 2), columns 8 * (r / 2) + 2 * member and the next; of the right side, rows 8 * r + 2 * member
// and the next, column group; of the sums, number i is row group + 8 * (i / 2), column 2 * member + i % 2.
template <class T> void multiply_add(float (&sums)[4], const Pair (&left)[4], Pair right_low, Pair right_high) {
    struct Own {
        Pair left[4], right[2];
    } own{{left[0], left[1], left[2], left[3]}, {right_low, right_high}}, of_all[32];
    emulator::exchange(&own, sizeof own, of_all);
    const unsigned int lane = threadIdx.x % 32;
    for (unsigned int i = 0; i < 4; i++) {
        const unsigned int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
        double sum = sums[i];
        for (unsigned int k = 0; k < 16; k++) {
            const unsigned int member = k % 8 / 2;
            const Pair from_left = of_all[row % 8 * 4 + member].left[row / 8 + k / 8 * 2];
            const Pair from_right = of_all[column * 4 + member].right[k / 8];
            sum += static_cast<double>(half_of_pair<T>(from_left, k % 2)) * half_of_pair<T>(from_right, k % 2);
        }
        sums[i] = static_cast<float>(sum);
    }
}
