// Fibres, and the kernels by their names.
#include "emulator.hpp"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <ucontext.h>

namespace emulator {

Index thread_index, block_index, block_size, grid_size;

namespace {

constexpr std::size_t STACK_BYTES = 128 << 10;
constexpr unsigned int WARP_LANES = 32;
constexpr std::size_t LARGEST_EXCHANGE = 64;

enum class State { READY, WAITS_FOR_BLOCK, WAITS_FOR_WARP, DONE };

// A thread of one block after the other: to begin a fibre costs a call of the system, to go on with it none.
struct Fibre {
    State state = State::DONE;
    bool begun = false;
    ucontext_t start;
    jmp_buf jump;
    unsigned char stack[STACK_BYTES];
};

struct Warp {
    unsigned int arrived = 0;
    unsigned char given[WARP_LANES][LARGEST_EXCHANGE];
};

struct Block {
    unsigned int threads;
    std::vector<Warp> warps;
    unsigned int arrived = 0;
    std::map<std::pair<std::string, int>, std::unique_ptr<unsigned char[]>> memory;
};

std::vector<Kernel> &kernels() {
    static std::vector<Kernel> all;
    return all;
}

Block block;
std::vector<std::unique_ptr<Fibre>> fibres;
jmp_buf scheduler;
unsigned int current;
const Kernel *running;
void **running_arguments;

[[noreturn]] void refuse(const char *what) {
    std::fprintf(stderr, "emulator: `%s`, block %u,%u, thread %u: %s\n", running ? running->name.c_str() : "?",
                 block_index.x, block_index.y, current, what);
    std::_Exit(3);
}

void wait(State state) {
    Fibre &fibre = *fibres[current];
    fibre.state = state;
    if (_setjmp(fibre.jump) == 0) _longjmp(scheduler, 1);
}

void enter() {
    for (;;) {
        running->call(running_arguments);
        wait(State::DONE);
    }
}

void resume(unsigned int thread) {
    current = thread;
    thread_index = {thread, 0, 0};
    Fibre &fibre = *fibres[thread];
    if (_setjmp(scheduler) != 0) return;
    if (fibre.begun) _longjmp(fibre.jump, 1);
    fibre.begun = true;
    getcontext(&fibre.start);
    fibre.start.uc_stack.ss_sp = fibre.stack;
    fibre.start.uc_stack.ss_size = STACK_BYTES;
    fibre.start.uc_link = nullptr;
    makecontext(&fibre.start, enter, 0);
    setcontext(&fibre.start);
}

// Threads of the block in the order in which they get their turns.
std::vector<unsigned int> turns(unsigned int count, unsigned int order) {
    std::vector<unsigned int> turns(count);
    for (unsigned int at = 0; at < count; at++) turns[at] = order % 2 == 0 ? at : count - 1 - at;
    unsigned int random = order;
    for (unsigned int at = count; order > 1 && at > 1; at--) {
        random = random * 1664525u + 1013904223u;
        std::swap(turns[at - 1], turns[(random >> 8) % at]);
    }
    return turns;
}

void run_block(const std::vector<unsigned int> &turns) {
    block.threads = turns.size();
    block.warps.assign((block.threads + WARP_LANES - 1) / WARP_LANES, Warp());
    block.arrived = 0;
    block.memory.clear();
    while (fibres.size() < block.threads) fibres.emplace_back(new Fibre);
    for (unsigned int thread : turns) fibres[thread]->state = State::READY;
    for (bool moved = true; moved;) {
        moved = false;
        for (unsigned int thread : turns) {
            if (fibres[thread]->state != State::READY) continue;
            moved = true;
            resume(thread);
        }
    }
    for (current = 0; current < block.threads; current++) {
        const State state = fibres[current]->state;
        if (state == State::WAITS_FOR_BLOCK) refuse("waits at a barrier that other threads never reach");
        if (state == State::WAITS_FOR_WARP) refuse("waits for lanes of its warp that never come");
    }
}

void wake(State from, unsigned int first, unsigned int end) {
    for (unsigned int thread = first; thread < end; thread++) {
        if (fibres[thread]->state == from) fibres[thread]->state = State::READY;
    }
}

void wait_for_warp(Warp &warp) {
    const unsigned int first = current / WARP_LANES * WARP_LANES;
    if (++warp.arrived == WARP_LANES) {
        warp.arrived = 0;
        wake(State::WAITS_FOR_WARP, first, first + WARP_LANES);
    } else {
        wait(State::WAITS_FOR_WARP);
    }
}

} // namespace

void wait_for_block() {
    if (++block.arrived == block.threads) {
        block.arrived = 0;
        wake(State::WAITS_FOR_BLOCK, 0, block.threads);
    } else {
        wait(State::WAITS_FOR_BLOCK);
    }
}

void exchange(const void *own, std::size_t size, void *of_all) {
    if (size > LARGEST_EXCHANGE) refuse("exchanges more than the emulator has room for");
    Warp &warp = block.warps[current / WARP_LANES];
    std::memcpy(warp.given[current % WARP_LANES], own, size);
    wait_for_warp(warp);
    for (unsigned int lane = 0; lane < WARP_LANES; lane++) {
        std::memcpy(static_cast<unsigned char *>(of_all) + lane * size, warp.given[lane], size);
    }
    wait_for_warp(warp);
}

void *shared(const char *file, int line, std::size_t size) {
    std::unique_ptr<unsigned char[]> &memory = block.memory[{file, line}];
    if (!memory) {
        memory.reset(new unsigned char[size]);
        std::memset(memory.get(), 0xff, size);
    }
    return memory.get();
}

const Kernel *find(const std::string &name) {
    for (const Kernel &kernel : kernels()) {
        if (kernel.name == name) return &kernel;
    }
    return nullptr;
}

void add(Kernel kernel) { kernels().push_back(std::move(kernel)); }

void launch(const Kernel &kernel, Index grid, Index size, void **arguments, unsigned int order) {
    static std::mutex one_at_a_time;
    const std::lock_guard<std::mutex> held(one_at_a_time);
    running = &kernel;
    running_arguments = arguments;
    current = 0;
    if (size.x != kernel.threads || size.y != 1 || size.z != 1) refuse("is launched with other threads than it is made for");
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535) refuse("has no such grid");
    grid_size = grid;
    block_size = size;
    const std::vector<unsigned int> order_of_threads = turns(size.x, order);
    for (unsigned int z = 0; z < grid.z; z++) {
        for (unsigned int y = 0; y < grid.y; y++) {
            for (unsigned int x = 0; x < grid.x; x++) {
                block_index = {x, y, z};
                run_block(order_of_threads);
            }
        }
    }
}

float float_of_bfloat(std::uint16_t bits) {
    const std::uint32_t whole = static_cast<std::uint32_t>(bits) << 16;
    float number;
    std::memcpy(&number, &whole, sizeof number);
    return number;
}

// To the nearest, of two equally near ones to the even.
std::uint16_t bfloat_of_float(float number) {
    std::uint32_t whole;
    std::memcpy(&whole, &number, sizeof whole);
    if (std::isnan(number)) return 0x7fff;
    return (whole + 0x7fff + (whole >> 16 & 1)) >> 16;
}

float float_of_half(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size;
    if (exponent == 31) {
        size = fraction ? NAN : INFINITY;
    } else if (exponent == 0) {
        size = std::ldexp(static_cast<float>(fraction), -24);
    } else {
        size = std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
    }
    return bits >> 15 ? -size : size;
}

std::uint16_t half_of_float(float number) {
    const std::uint16_t sign = std::signbit(number) ? 0x8000 : 0;
    const float size = std::fabs(number);
    if (std::isnan(number)) return 0x7fff;
    if (size >= 65520.0f) return sign | 0x7c00;
    if (size == 0.0f) return sign;
    int exponent;
    std::frexp(size, &exponent);
    // Steps of 2^-10 of the leading bit, no finer than 2^-24; nearbyint rounds halves to even.
    const int step = std::max(exponent - 11, -24);
    const auto steps = static_cast<std::uint16_t>(std::nearbyint(std::ldexp(size, -step)));
    if (step == -24) return sign | steps;
    // A full mantissa carries into the exponent by itself.
    return sign | (((step + 25) << 10) + steps - 1024);
}

} // namespace emulator
