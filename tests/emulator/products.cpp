// The functions of cublasLt that this project calls: products as their descriptions say, number by number.
//
// What cublasLt would refuse, or do more slowly than it can, is refused: sums in less than f32, rows that do not begin
// on sixteen bytes.
#include "emulator.hpp"

#include <cstdio>

namespace {

// cublasStatus_t, cudaDataType_t and cublasLt's enumerations, as far as they are used.
enum Status { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum Type { F32 = 0, F16 = 2, BF16 = 14 };
enum { SUM_F32 = 68 };
enum DescriptionAttribute { TRANSPOSE_LEFT = 3, TRANSPOSE_RIGHT = 4, EPILOGUE = 7, BIAS_POINTER = 8 };
enum { EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4 };
// Of the preference: those of the four matrices, A to D.
enum { LEAST_ALIGNMENT_FIRST = 5, LEAST_ALIGNMENT_LAST = 8 };

struct Layout {
    int type;
    std::uint64_t rows, columns;
    std::int64_t stride;
};

struct Description {
    int sums, scale;
    std::int32_t transpose_left = 0, transpose_right = 0;
    std::uint32_t epilogue = EPILOGUE_DEFAULT;
    std::uint64_t bias = 0;
};

// cublasLtMatmulHeuristicResult_t.
struct Heuristic {
    std::uint64_t algorithm[8];
    std::size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

std::size_t size_of(int type) { return type == F32 ? 4 : 2; }

float number(const void *from, int type, std::size_t at) {
    if (type == F32) return static_cast<const float *>(from)[at];
    const std::uint16_t bits = static_cast<const std::uint16_t *>(from)[at];
    return type == F16 ? emulator::float_of_half(bits) : emulator::float_of_bfloat(bits);
}

void put(void *to, int type, std::size_t at, float value) {
    if (type == F32) {
        static_cast<float *>(to)[at] = value;
    } else {
        auto &bits = static_cast<std::uint16_t *>(to)[at];
        bits = type == F16 ? emulator::half_of_float(value) : emulator::bfloat_of_float(value);
    }
}

bool is_aligned(const void *pointer, const Layout &layout) {
    const bool rows = layout.type == F32 || layout.stride * size_of(layout.type) % 16 == 0;
    return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0 && rows;
}

bool fits(const Description &how, const Layout &left, const Layout &right, const Layout &product) {
    const bool one_type = left.type == right.type && left.type == product.type;
    const bool strides = left.stride >= std::int64_t(left.rows) && right.stride >= std::int64_t(right.rows) &&
                         product.stride >= std::int64_t(product.rows);
    return one_type && strides && how.sums == SUM_F32 && how.scale == F32 && how.transpose_left == 1 &&
           how.transpose_right == 0 && left.rows == right.rows && left.columns == product.rows &&
           right.columns == product.columns;
}

} // namespace

extern "C" {

int cublasLtCreate(void **handle) {
    *handle = new int;
    return SUCCESS;
}

int cublasLtDestroy(void *handle) {
    delete static_cast<int *>(handle);
    return SUCCESS;
}

int cublasLtMatrixLayoutCreate(void **layout, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t stride) {
    *layout = new Layout{type, rows, columns, stride};
    return SUCCESS;
}

int cublasLtMatrixLayoutDestroy(void *layout) {
    delete static_cast<Layout *>(layout);
    return SUCCESS;
}

int cublasLtMatmulDescCreate(void **description, int sums, int scale) {
    *description = new Description{sums, scale};
    return SUCCESS;
}

int cublasLtMatmulDescDestroy(void *description) {
    delete static_cast<Description *>(description);
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(void *description, int attribute, const void *value, std::size_t size) {
    auto &how = *static_cast<Description *>(description);
    const auto set = [&](auto &field) {
        if (size != sizeof field) return INVALID_VALUE;
        std::memcpy(&field, value, size);
        return SUCCESS;
    };
    switch (attribute) {
    case TRANSPOSE_LEFT: return set(how.transpose_left);
    case TRANSPOSE_RIGHT: return set(how.transpose_right);
    case EPILOGUE: return set(how.epilogue);
    case BIAS_POINTER: return set(how.bias);
    default: return NOT_SUPPORTED;
    }
}

int cublasLtMatmulPreferenceCreate(void **preference) {
    *preference = new int;
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(void *preference) {
    delete static_cast<int *>(preference);
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(void *, int attribute, const void *, std::size_t size) {
    const bool is_alignment = attribute >= LEAST_ALIGNMENT_FIRST && attribute <= LEAST_ALIGNMENT_LAST;
    return size == (is_alignment ? sizeof(std::uint32_t) : sizeof(std::uint64_t)) ? SUCCESS : INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(void *, void *description, void *left, void *right, void *, void *product, void *,
                                   int, Heuristic *results, int *count) {
    const bool possible = fits(*static_cast<Description *>(description), *static_cast<Layout *>(left),
                               *static_cast<Layout *>(right), *static_cast<Layout *>(product));
    *count = possible ? 1 : 0;
    *results = {};
    return possible ? SUCCESS : NOT_SUPPORTED;
}

int cublasLtMatmul(void *, void *description, const float *alpha, const void *left, void *left_layout, const void *right,
                   void *right_layout, const float *beta, const void *, void *, void *product, void *product_layout,
                   const void *, void *, std::size_t, void *) {
    const auto &how = *static_cast<Description *>(description);
    const auto &a = *static_cast<Layout *>(left_layout), &b = *static_cast<Layout *>(right_layout);
    const auto &d = *static_cast<Layout *>(product_layout);
    const bool aligned = is_aligned(left, a) && is_aligned(right, b) && is_aligned(product, d);
    if (!fits(how, a, b, d) || !aligned || *alpha != 1.0f || *beta != 0.0f) {
        std::fprintf(stderr, "emulator: a product that cublasLt would refuse or do slowly\n");
        return NOT_SUPPORTED;
    }
    const bool with_bias = how.epilogue == EPILOGUE_BIAS;
    if (!with_bias && how.epilogue != EPILOGUE_DEFAULT) return NOT_SUPPORTED;
    const void *bias = reinterpret_cast<const void *>(how.bias);
    std::vector<float> weights(a.rows * a.columns), column(b.rows);
    for (std::size_t i = 0; i < a.columns; i++) {
        for (std::size_t k = 0; k < a.rows; k++) weights[i * a.rows + k] = number(left, a.type, i * a.stride + k);
    }
    for (std::size_t j = 0; j < d.columns; j++) {
        for (std::size_t k = 0; k < b.rows; k++) column[k] = number(right, b.type, j * b.stride + k);
        for (std::size_t i = 0; i < d.rows; i++) {
            float sum = with_bias ? number(bias, d.type, i) : 0.0f;
            for (std::size_t k = 0; k < a.rows; k++) sum += weights[i * a.rows + k] * column[k];
            put(product, d.type, j * d.stride + i, sum);
        }
    }
    return SUCCESS;
}

} // extern "C"
