// The functions of CUDA's driver that this project calls, for devices that are the processor: memory of the device is
// memory of the processor, streams are done when they are asked, kernels run in the emulator.
//
// Linked into a library with the driver's name, it lets the whole GPU side of the program run where there is no GPU:
// the launches, their arguments and the sizes of arrays are the real ones. What the driver would refuse is refused:
// memory that was not allocated, copies beyond its end, kernels that do not exist. EMULATED_DEVICES (1) says how many
// devices there are, EMULATED_MEMORY (4 GiB) how many bytes each says that it has, EMULATED_ROOM (as many) how many it
// really has.
#include "all.cu"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

namespace {

// CUresult.
enum Result { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500 };

using Pointer = unsigned long long;

std::size_t setting(const char *name, std::size_t otherwise) {
    const char *value = std::getenv(name);
    return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

std::size_t devices() { return setting("EMULATED_DEVICES", 1); }
std::size_t room() { return setting("EMULATED_ROOM", ~std::size_t(0)); }
std::size_t memory() { return setting("EMULATED_MEMORY", std::size_t(4) << 30); }

struct Allocation {
    std::size_t bytes;
    int device;
};

std::mutex lock;
std::map<Pointer, Allocation> allocations;
std::map<int, std::size_t> taken;

// A context is its device's number, plus one: no context is none.
thread_local Pointer current_context = 0;

int current_device() { return static_cast<int>(current_context) - 1; }

bool is_allocated(Pointer first, std::size_t bytes) {
    const std::lock_guard<std::mutex> held(lock);
    auto after = allocations.upper_bound(first);
    if (after == allocations.begin()) return false;
    --after;
    return first + bytes <= after->first + after->second.bytes;
}

Result allocate(Pointer *to, std::size_t bytes) {
    const std::lock_guard<std::mutex> held(lock);
    const int device = current_device();
    if (device < 0) return INVALID_DEVICE;
    if (taken[device] + bytes > std::min(memory(), room())) return OUT_OF_MEMORY;
    const std::size_t rounded = (bytes + 255) / 256 * 256;
    void *memory = std::aligned_alloc(256, std::max<std::size_t>(rounded, 256));
    // A device does not clear memory either: NaN shows what is read before it is written.
    std::memset(memory, 0xff, rounded);
    *to = reinterpret_cast<Pointer>(memory);
    allocations[*to] = {bytes, device};
    taken[device] += bytes;
    return SUCCESS;
}

Result release(Pointer pointer) {
    const std::lock_guard<std::mutex> held(lock);
    const auto found = allocations.find(pointer);
    if (found == allocations.end()) return INVALID_VALUE;
    taken[found->second.device] -= found->second.bytes;
    allocations.erase(found);
    std::free(reinterpret_cast<void *>(pointer));
    return SUCCESS;
}

// CUdevice_attribute.
enum Attribute { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76, MEMORY_POOLS_SUPPORTED = 115 };

} // namespace

extern "C" {

int cuInit(unsigned int) { return devices() == 0 ? NO_DEVICE : SUCCESS; }

int cuDriverGetVersion(int *version) {
    *version = static_cast<int>(setting("EMULATED_DRIVER", 13000));
    return SUCCESS;
}

int cuDeviceGetCount(int *count) {
    *count = static_cast<int>(devices());
    return SUCCESS;
}

int cuDeviceGet(int *device, int ordinal) {
    if (ordinal < 0 || static_cast<std::size_t>(ordinal) >= devices()) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

int cuDeviceGetName(char *name, int length, int) {
    std::snprintf(name, length, "Emulated");
    return SUCCESS;
}

int cuDeviceTotalMem_v2(std::size_t *bytes, int) {
    *bytes = memory();
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int) {
    switch (attribute) {
    case CAPABILITY_MAJOR: *value = 8; return SUCCESS;
    case CAPABILITY_MINOR: *value = 0; return SUCCESS;
    case MEMORY_POOLS_SUPPORTED: *value = 1; return SUCCESS;
    default: return INVALID_VALUE;
    }
}

int cuDevicePrimaryCtxRetain(void **context, int device) {
    *context = reinterpret_cast<void *>(static_cast<Pointer>(device) + 1);
    return SUCCESS;
}

int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }

int cuCtxGetCurrent(void **context) {
    *context = reinterpret_cast<void *>(current_context);
    return SUCCESS;
}

int cuCtxSetCurrent(void *context) {
    current_context = reinterpret_cast<Pointer>(context);
    return SUCCESS;
}

int cuCtxSetFlags(unsigned int) { return SUCCESS; }
int cuCtxSynchronize() { return SUCCESS; }

int cuMemGetInfo_v2(std::size_t *free, std::size_t *total) {
    const std::lock_guard<std::mutex> held(lock);
    *total = memory();
    *free = *total - taken[current_device()];
    return SUCCESS;
}

int cuMemAllocAsync(Pointer *to, std::size_t bytes, void *) { return allocate(to, bytes); }
int cuMemAlloc_v2(Pointer *to, std::size_t bytes) { return allocate(to, bytes); }
int cuMemFreeAsync(Pointer pointer, void *) { return release(pointer); }
int cuMemFree_v2(Pointer pointer) { return release(pointer); }

int cuMemHostAlloc(void **to, std::size_t bytes, unsigned int) {
    *to = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    return *to ? SUCCESS : OUT_OF_MEMORY;
}

int cuMemFreeHost(void *pointer) {
    std::free(pointer);
    return SUCCESS;
}

int cuMemsetD8Async(Pointer to, unsigned char value, std::size_t bytes, void *) {
    if (!is_allocated(to, bytes)) return INVALID_VALUE;
    std::memset(reinterpret_cast<void *>(to), value, bytes);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(Pointer to, const void *from, std::size_t bytes, void *) {
    if (!is_allocated(to, bytes)) return INVALID_VALUE;
    std::memcpy(reinterpret_cast<void *>(to), from, bytes);
    return SUCCESS;
}

int cuMemcpyDtoHAsync_v2(void *to, Pointer from, std::size_t bytes, void *) {
    if (!is_allocated(from, bytes)) return INVALID_VALUE;
    std::memcpy(to, reinterpret_cast<void *>(from), bytes);
    return SUCCESS;
}

int cuStreamCreate(void **stream, unsigned int) {
    static std::atomic<Pointer> streams{0};
    *stream = reinterpret_cast<void *>(++streams);
    return SUCCESS;
}

int cuStreamDestroy_v2(void *) { return SUCCESS; }
int cuStreamSynchronize(void *) { return SUCCESS; }
int cuStreamWaitEvent(void *, void *, unsigned int) { return SUCCESS; }

int cuEventCreate(void **event, unsigned int) {
    *event = reinterpret_cast<void *>(Pointer(1));
    return SUCCESS;
}

int cuEventRecord(void *, void *) { return SUCCESS; }
int cuEventSynchronize(void *) { return SUCCESS; }
int cuEventDestroy_v2(void *) { return SUCCESS; }

int cuModuleLoadData(void **module, const void *image) {
    *module = reinterpret_cast<void *>(Pointer(1));
    return image ? SUCCESS : INVALID_VALUE;
}

int cuModuleUnload(void *) { return SUCCESS; }

int cuModuleGetFunction(const void **function, void *, const char *name) {
    *function = emulator::find(name);
    return *function ? SUCCESS : NOT_FOUND;
}

int cuLaunchKernel(const void *function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                   unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int, void *,
                   void **arguments, void **) {
    const auto *kernel = static_cast<const emulator::Kernel *>(function);
    for (std::size_t at = 0; at < kernel->pointers.size(); at++) {
        Pointer pointer = 0;
        if (kernel->pointers[at]) std::memcpy(&pointer, arguments[at], sizeof pointer);
        if (pointer != 0 && !is_allocated(pointer, 1)) {
            std::fprintf(stderr, "emulator: argument %zu of `%s` points nowhere\n", at, kernel->name.c_str());
            return INVALID_VALUE;
        }
    }
    emulator::launch(*kernel, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, arguments, 0);
    return SUCCESS;
}

int cuGetErrorName(int, const char **name) {
    *name = "an emulated error";
    return SUCCESS;
}

int cuGetErrorString(int, const char **text) {
    *text = "an emulated error";
    return SUCCESS;
}

} // extern "C"
