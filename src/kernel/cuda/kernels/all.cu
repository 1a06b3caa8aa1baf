// All kernels, as one module.
#include "attention.cu"
#include "rows.cu"
#include "select.cu"
