"""Ends with code 77 where NVIDIA's driver finds no GPU. Needs nothing but Python."""
import ctypes
import sys

NO_GPU = 77


def count():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    found = ctypes.c_int(0)
    return found.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(found)) == 0 else 0


if __name__ == "__main__" and count() == 0:
    print("there is no GPU here: nothing was measured and nothing written", file=sys.stderr)
    print("`scripts/gpu-check --device cpu --count 64` tries the steps on the processor", file=sys.stderr)
    sys.exit(NO_GPU)
