// What src/kernel/cuda/kernels/device.cuh gives kernels on a device, on a processor: every thread of a block is a fibre.
//
// A fibre runs until it waits for its warp or its block, so the order in which threads run is ours to choose, and each
// is a legal one. Stricter than a device where that finds faults: a thread that ends while others of its warp or block
// wait for it, shared memory that is read before it is written (it holds NaN), and buffers that are left (guard pages).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace emulator {

struct Index {
    unsigned int x = 1, y = 1, z = 1;
};

extern Index thread_index, block_index, block_size, grid_size;

// Waits for all threads of the block.
void wait_for_block();
// Gives `own` to the warp, and takes what each of its lanes gave.
void exchange(const void *own, std::size_t size, void *of_all);
// The block's memory for the declaration on `line` of `file`.
void *shared(const char *file, int line, std::size_t size);

// A kernel as it is found by its name.
struct Kernel {
    std::string name;
    unsigned int threads;
    // Bytes of each argument, and whether it is a pointer.
    std::vector<std::size_t> sizes;
    std::vector<bool> pointers;
    std::function<void(void **)> call;
};

const Kernel *find(const std::string &name);
void add(Kernel kernel);

// Runs every block; `order` chooses among the orders of threads. Ends the process where a kernel does what it must not.
void launch(const Kernel &kernel, Index grid, Index block, void **arguments, unsigned int order);

struct Registration {
    template <class... A> Registration(const char *name, unsigned int threads, void (*function)(A...)) {
        auto call = [function](void **arguments) { invoke(function, arguments, std::index_sequence_for<A...>()); };
        add({name, threads, {sizeof(A)...}, {std::is_pointer_v<A>...}, call});
    }

    template <class... A, std::size_t... AT>
    static void invoke(void (*function)(A...), void **arguments, std::index_sequence<AT...>) {
        function(*static_cast<A *>(arguments[AT])...);
    }
};

float float_of_half(std::uint16_t bits);
std::uint16_t half_of_float(float number);
float float_of_bfloat(std::uint16_t bits);
std::uint16_t bfloat_of_float(float number);

} // namespace emulator

#define DEVICE inline
#define KERNEL(name, threads, parameters)                                                                              \
    extern "C" void name parameters;                                                                                   \
    static const emulator::Registration name##_registration(#name, threads, name);                                     \
    extern "C" void name parameters
#define SHARED(type, name, count) type *const name = static_cast<type *>(emulator::shared(__FILE__, __LINE__, sizeof(type) * (count)))

#define threadIdx emulator::thread_index
#define blockIdx emulator::block_index

using std::max;
using std::min;

inline float rsqrtf(float number) { return 1.0f / std::sqrt(number); }

template <class V> V shuffle_xor(V value, int mask) {
    V of_all[32];
    emulator::exchange(&value, sizeof(V), of_all);
    return of_all[(threadIdx.x % 32) ^ mask];
}

inline void barrier() { emulator::wait_for_block(); }

inline unsigned int take_ticket(unsigned int *counter) { return (*counter)++; }
