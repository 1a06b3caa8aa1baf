// One launch of one kernel: read from standard input, its buffers afterwards to standard output.
//
// All numbers are little-endian u32: the name's length and bytes, the grid (three), the block's threads, the order of
// threads, then the arguments: how many, and for each a kind (0 a value, 1 a buffer, 2 a null pointer), its length and
// bytes. What comes back is the bytes of each buffer.
#include "all.cu"

#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

namespace {

[[noreturn]] void refuse(const char *what) {
    std::fprintf(stderr, "emulator: %s\n", what);
    std::_Exit(2);
}

void read_bytes(void *to, std::size_t size) {
    if (size > 0 && std::fread(to, size, 1, stdin) != 1) refuse("the request ends too early");
}

std::uint32_t read_number() {
    std::uint32_t number;
    read_bytes(&number, sizeof number);
    return number;
}

// Memory that ends where a page begins that nobody may touch.
unsigned char *guarded(std::size_t size) {
    const std::size_t page = sysconf(_SC_PAGESIZE), pages = (size + page - 1) / page + 1;
    void *all = mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) refuse("no memory");
    unsigned char *last = static_cast<unsigned char *>(all) + (pages - 1) * page;
    mprotect(last, page, PROT_NONE);
    // Rounded to what a device aligns its memory to, as far as kernels rely on it.
    return last - (size + 15) / 16 * 16;
}

} // namespace

int main() {
    std::string name(read_number(), '\0');
    read_bytes(name.data(), name.size());
    emulator::Index grid, block;
    grid.x = read_number();
    grid.y = read_number();
    grid.z = read_number();
    block.x = read_number();
    const std::uint32_t order = read_number();
    const emulator::Kernel *kernel = emulator::find(name);
    if (!kernel) refuse("there is no such kernel");
    if (read_number() != kernel->sizes.size()) refuse("the kernel has another number of arguments");

    std::vector<std::vector<unsigned char>> values(kernel->sizes.size());
    std::vector<std::pair<unsigned char *, std::size_t>> buffers;
    std::vector<void *> arguments;
    for (std::size_t at = 0; at < values.size(); at++) {
        const std::uint32_t kind = read_number(), size = read_number();
        if (kernel->pointers[at] != (kind != 0)) refuse("an argument is a pointer or is none, against the kernel");
        if (kind == 0 && size != kernel->sizes[at]) refuse("an argument has another size than the kernel's");
        values[at].resize(kernel->sizes[at]);
        if (kind == 0) {
            read_bytes(values[at].data(), size);
        } else if (kind == 1) {
            unsigned char *buffer = guarded(size);
            read_bytes(buffer, size);
            buffers.emplace_back(buffer, size);
            std::memcpy(values[at].data(), &buffer, sizeof buffer);
        }
        arguments.push_back(values[at].data());
    }
    emulator::launch(*kernel, grid, block, arguments.data(), order);
    for (const auto &[buffer, size] : buffers) {
        if (size > 0 && std::fwrite(buffer, size, 1, stdout) != 1) refuse("nobody reads the answer");
    }
    return std::fflush(stdout) == 0 ? 0 : 2;
}
