// What a kernel may use of a device: numbers of 16 bits, a warp's collective operations, matrix units.
//
// The kernels are written against this file alone. `nvcc` compiles it to PTX; any other C++ compiler takes the same
// names from the emulator of the tests (tests/emulator), where each thread of a block is a fibre. Compute capability 8.0
// is the least: bfloat16 and its matrix units begin there.
#pragma once

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define KERNEL(name, threads, parameters) extern "C" __global__ void __launch_bounds__(threads) name parameters
#define SHARED(type, name, count) __shared__ alignas(16) type name[count]

#else

#include "emulator.hpp"

#endif

constexpr int WARP = 32;
constexpr float LEAST = -3.402823466e38f;

// Numbers of 16 bits are carried as their bits; arithmetic is done in f32.
struct alignas(2) Bf16 { unsigned short bits; };
struct alignas(2) F16 { unsigned short bits; };
// Two of them, as matrix units and 32-bit loads take them; the first in the low half.
using Pair = unsigned int;

DEVICE float to_float(float number) { return number; }

DEVICE unsigned int warp_lane() { return threadIdx.x % WARP; }

#ifndef __CUDACC__

#include "collective.hpp"

#else

DEVICE float to_float(Bf16 number) { return __uint_as_float(static_cast<unsigned int>(number.bits) << 16); }

DEVICE float to_float(F16 number) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(number.bits));
    return result;
}

template <class T> DEVICE T from_float(float number);

template <> DEVICE float from_float<float>(float number) { return number; }

template <> DEVICE Bf16 from_float<Bf16>(float number) {
    Bf16 result;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(number));
    return result;
}

template <> DEVICE F16 from_float<F16>(float number) {
    F16 result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(number));
    return result;
}

template <class V> DEVICE V shuffle_xor(V value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

DEVICE void barrier() { __syncthreads(); }

DEVICE unsigned int take_ticket(unsigned int *counter) { return atomicAdd(counter, 1u); }

// Four 8x8 matrices of 16-bit numbers out of shared memory. Lane i names row i % 8 of matrix i / 8; it gets, of each
// matrix, the two numbers of row lane / 4 that begin at column lane % 4 * 2.
DEVICE void load_matrices(Pair (&to)[4], const void *row) {
    const unsigned int address = static_cast<unsigned int>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// The same of the transposed matrices: the two numbers of column lane / 4 that begin at row lane % 4 * 2.
DEVICE void load_matrices_transposed(Pair (&to)[4], const void *row) {
    const unsigned int address = static_cast<unsigned int>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
}

// sums (16x8) += left (16x16) * right (16x8), in the fragments of PTX's mma.m16n8k16.
template <class T> DEVICE void multiply_add(float (&sums)[4], const Pair (&left)[4], Pair right_low, Pair right_high);

template <>
DEVICE void multiply_add<Bf16>(float (&sums)[4], const Pair (&left)[4], Pair right_low, Pair right_high) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_low), "r"(right_high));
}

template <>
DEVICE void multiply_add<F16>(float (&sums)[4], const Pair (&left)[4], Pair right_low, Pair right_high) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right_low), "r"(right_high));
}

#endif

template <class T> DEVICE Pair pair_of(float low, float high) {
    return from_float<T>(low).bits | static_cast<Pair>(from_float<T>(high).bits) << 16;
}

DEVICE float warp_sum(float value) {
#pragma unroll
    for (int mask = WARP / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

// Sixteen bytes of numbers: what a thread reads and writes at once.
template <class T> struct alignas(16) Pack {
    static constexpr int COUNT = 16 / sizeof(T);
    T numbers[COUNT];
};

// Four numbers, of whatever size.
template <class T> struct alignas(4 * sizeof(T)) Four { T numbers[4]; };
