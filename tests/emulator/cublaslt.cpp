// The product itself: both operands are copied into panels of floats (32 rows of A, 8 columns of B, k by k),
// so that one inner loop of vector code serves every layout, and a tile of 32 x 8 sums stays in registers.
#include "cublasLt.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "kernels/common/bf16.h"
#include "kernels/common/threads.h"
#include "kernels/common/vector.h"
#include "tests/emulator/calls.h"
#include "tests/emulator/cublaslt.h"
#include "tests/emulator/emulated_device.h"
#include "tests/emulator/streams.h"
#include "tests/emulator/truncated_sum.h"

struct cublasLtContext {};

struct cublasLtMatrixLayoutDescription {
    cudaDataType type;
    std::uint64_t rows, columns;
    std::int64_t ld;
};

struct cublasLtMatmulDescription {
    cublasComputeType_t compute_type;
    cudaDataType scale_type;
    std::int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
    std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void* bias = nullptr;
    void* auxiliary = nullptr;
    std::int64_t auxiliary_ld = 0;
};

struct cublasLtMatmulPreferenceDescription {
    std::uint64_t workspace_bytes = 0;
    std::uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
    std::uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

namespace {

using MatrixLayout = cublasLtMatrixLayoutDescription;
using Operation = cublasLtMatmulDescription;

// Contents of cublasLtMatmulAlgo_t.
struct Algorithm {
    std::uint64_t magic, problem;  // a number of the problem it was found for
    std::uint32_t candidate;       // its place among those of the problem
    std::uint32_t parts;           // that the sum over k is split into
    std::uint32_t in_place;
    std::uint32_t alignment[4];
    std::uint64_t workspace_bytes;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));
constexpr std::uint64_t algorithm_magic = 0x616C676F72697468;

std::atomic<std::int64_t> searches = 0;

using emulator::CublasLtMood;

struct Problem {
    Operation operation;
    MatrixLayout a, b, c, d;
    std::int64_t m() const { return static_cast<std::int64_t>(d.rows); }
    std::int64_t n() const { return static_cast<std::int64_t>(d.columns); }
    std::int64_t k() const {
        return static_cast<std::int64_t>(operation.transpose_a == CUBLAS_OP_N ? a.columns : a.rows);
    }
};

// ---- supported problems -----------------------------------------------------------------------------------

bool has_auxiliary(std::uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}
bool has_bias(std::uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ||
           epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}
bool has_gelu(std::uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_GELU_BIAS || has_auxiliary(epilogue);
}

bool valid(const MatrixLayout& layout) {
    return layout.rows > 0 && layout.columns > 0 &&
           layout.rows <= static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) &&
           layout.columns <= static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) &&
           layout.ld >= static_cast<std::int64_t>(layout.rows);
}

cublasStatus_t check(const Problem& p) {
    const Operation& operation = p.operation;
    const bool plain_a = operation.transpose_a == CUBLAS_OP_N, plain_b = operation.transpose_b == CUBLAS_OP_N;
    if (!valid(p.a) || !valid(p.b) || !valid(p.c) || !valid(p.d)) return CUBLAS_STATUS_INVALID_VALUE;
    if ((plain_a ? p.a.rows : p.a.columns) != p.d.rows || (plain_b ? p.b.columns : p.b.rows) != p.d.columns ||
        (plain_a ? p.a.columns : p.a.rows) != (plain_b ? p.b.rows : p.b.columns) || p.c.rows != p.d.rows ||
        p.c.columns != p.d.columns || p.c.type != p.d.type)
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool floats = p.a.type == CUDA_R_32F && p.b.type == CUDA_R_32F && p.d.type == CUDA_R_32F;
    const bool halves = p.a.type == CUDA_R_16BF && p.b.type == CUDA_R_16BF &&
                        (p.d.type == CUDA_R_16BF || p.d.type == CUDA_R_32F);
    if (operation.compute_type != CUBLAS_COMPUTE_32F || operation.scale_type != CUDA_R_32F ||
        !(floats || halves))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (operation.epilogue != CUBLASLT_EPILOGUE_DEFAULT && !has_bias(operation.epilogue))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (has_bias(operation.epilogue) && operation.bias == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (has_auxiliary(operation.epilogue) &&
        (operation.auxiliary == nullptr || operation.auxiliary_ld < p.m() || operation.auxiliary_ld % 8 != 0))
        return CUBLAS_STATUS_INVALID_VALUE;
    return CUBLAS_STATUS_SUCCESS;
}

std::size_t bytes_of(cudaDataType type) {
    return type == CUDA_R_16BF ? sizeof(bf16) : sizeof(float);
}

bool aligned(const void* address, std::size_t bytes) {
    return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}
bool aligned(const MatrixLayout& layout, std::uint32_t alignment, std::size_t bytes) {
    return alignment >= bytes && static_cast<std::size_t>(layout.ld) * bytes_of(layout.type) % bytes == 0;
}

bool has_algorithm(const Problem& p, const std::uint32_t (&alignment)[4]) {
    for (const auto& [layout, least] : {std::pair(&p.a, alignment[0]), {&p.b, alignment[1]}})
        if (layout->type == CUDA_R_16BF && !aligned(*layout, least, 4)) return false;
    const Operation& operation = p.operation;
    if (!has_bias(operation.epilogue)) return true;
    if (!aligned(operation.bias, 16) || !aligned(p.d, alignment[3], 16)) return false;
    if (has_auxiliary(operation.epilogue) && !aligned(operation.auxiliary, 16)) return false;
    return !has_gelu(operation.epilogue) || (p.a.type == CUDA_R_16BF && p.d.type == CUDA_R_16BF);
}

// Hash of a problem: FNV-1a over all values on which an algorithm depends.
std::uint64_t number_of(const Problem& p) {
    std::uint64_t number = 0xCBF29CE484222325;
    const auto add = [&](std::uint64_t value) { number = (number ^ value) * 0x100000001B3; };
    for (const MatrixLayout* layout : {&p.a, &p.b, &p.c, &p.d}) {
        add(layout->type);
        add(layout->rows);
        add(layout->columns);
        add(static_cast<std::uint64_t>(layout->ld));
    }
    add(static_cast<std::uint64_t>(p.operation.transpose_a));
    add(static_cast<std::uint64_t>(p.operation.transpose_b));
    add(p.operation.epilogue);
    add(static_cast<std::uint64_t>(p.operation.auxiliary_ld));
    return number;
}

// ---- the product ------------------------------------------------------------------------------------------

constexpr std::int64_t panel_rows = 2 * cpu::lanes, panel_columns = 8;

float element(const void* matrix, cudaDataType type, std::int64_t index) {
    return type == CUDA_R_16BF ? to_float(static_cast<const bf16*>(matrix)[index])
                               : static_cast<const float*>(matrix)[index];
}
void set_element(void* matrix, cudaDataType type, std::int64_t index, float value) {
    if (type == CUDA_R_16BF)
        static_cast<bf16*>(matrix)[index] = nearest_bf16(value);
    else
        static_cast<float*>(matrix)[index] = value;
}

// Panels of `width` rows of an op(matrix) with `count` rows and k columns, [panel][k][width], zeros behind
// the last row; `along` and `across` are the distances of neighbours along k and across it.
std::vector<float> packed(const void* matrix, cudaDataType type, std::int64_t count, std::int64_t k,
                          std::int64_t along, std::int64_t across, std::int64_t width) {
    const std::int64_t panels = (count + width - 1) / width;
    std::vector<float> values(static_cast<std::size_t>(panels * k * width));
#pragma omp parallel for num_threads(cpu::thread_count()) if (count * k > 65536)
    for (std::int64_t panel = 0; panel < panels; ++panel)
        for (std::int64_t l = 0; l < k; ++l) {
            float* to = values.data() + (panel * k + l) * width;
            const std::int64_t first = panel * width, rows = std::min(width, count - first);
            for (std::int64_t i = 0; i < rows; ++i)
                to[i] = element(matrix, type, (first + i) * across + l * along);
        }
    return values;
}

struct Tile {
    float sums[panel_columns][panel_rows];
};

// The sums over k in [begin, end), from the last to the first, in float.
void multiply_panels(Tile& tile, const float* a, const float* b, std::int64_t begin, std::int64_t end) {
    cpu::Vector sums[panel_columns][2] = {};
    for (std::int64_t l = end - 1; l >= begin; --l) {
        cpu::Vector rows[2];
        cpu::load(rows[0], a + l * panel_rows);
        cpu::load(rows[1], a + l * panel_rows + cpu::lanes);
        for (std::int64_t j = 0; j < panel_columns; ++j)
            for (int v = 0; v < 2; ++v) sums[j][v] += b[l * panel_columns + j] * rows[v];
    }
    for (std::int64_t j = 0; j < panel_columns; ++j)
        for (int v = 0; v < 2; ++v) cpu::store(&tile.sums[j][v * cpu::lanes], sums[j][v]);
}

// The same on tensor cores.
void multiply_panels_truncated(Tile& tile, const float* a, const float* b, std::int64_t begin,
                               std::int64_t end) {
    const emulator::TensorCore core = emulator::tensor_core();
    cpu::Vector sums[panel_columns][2] = {};
    for (std::int64_t last = end; last > begin; last -= core.products) {
        const std::int64_t first = std::max(begin, last - core.products);
        const int count = static_cast<int>(last - first);
        for (int v = 0; v < 2; ++v) {
            cpu::Vector rows[16];
            for (int i = 0; i < count; ++i) cpu::load(rows[i], a + (first + i) * panel_rows + v * cpu::lanes);
            for (std::int64_t j = 0; j < panel_columns; ++j) {
                cpu::Vector products[16];
                for (int i = 0; i < count; ++i) products[i] = b[(first + i) * panel_columns + j] * rows[i];
                emulator::add_products(sums[j][v], products, count, core);
            }
        }
    }
    for (std::int64_t j = 0; j < panel_columns; ++j)
        for (int v = 0; v < 2; ++v) cpu::store(&tile.sums[j][v * cpu::lanes], sums[j][v]);
}

bool in_mood(CublasLtMood mood) {
    return emulator::emulated_device().cublaslt == mood;
}

// In mood approximate_gelu, tanh is off by its largest error, to either side.
float tanh_gelu(float x) {
    constexpr float sqrt_2_over_pi = 0.79788456f;
    float tanh = std::tanh(sqrt_2_over_pi * (x + 0.044715f * x * x * x));
    if (in_mood(CublasLtMood::approximate_gelu))
        tanh *= std::bit_cast<std::uint32_t>(x) % 2 == 0 ? 1 + 0x1p-11f : 1 - 0x1p-11f;
    return 0.5f * x * (1 + tanh);
}

struct Call {
    Problem problem;
    float alpha, beta;
    const void *a, *b, *c;
    void *d, *workspace;
    Algorithm algorithm;
};

void finish(const Call& call, float sum, std::int64_t row, std::int64_t column) {
    const auto& [operation, a, b, c, d] = call.problem;
    float value = call.alpha * sum;
    if (call.beta != 0) value += call.beta * element(call.c, c.type, row + column * c.ld);
    if (has_bias(operation.epilogue)) value += element(operation.bias, d.type, row);
    if (has_auxiliary(operation.epilogue))
        set_element(operation.auxiliary, d.type, row + column * operation.auxiliary_ld, value);
    if (has_gelu(operation.epilogue)) value = tanh_gelu(value);
    set_element(call.d, d.type, row + column * d.ld, value);
}

void multiply_columns(const Call& call, const float* a, const float* b, std::int64_t first_column,
                      std::uint32_t first_part) {
    const std::int64_t m = call.problem.m(), n = call.problem.n(), k = call.problem.k();
    const std::uint32_t parts = call.algorithm.parts;
    for (std::int64_t first_row = 0; first_row < m; first_row += panel_rows) {
        Tile total{};
        for (std::uint32_t i = 0; i < parts; ++i) {
            const std::uint32_t part = (first_part + i) % parts;
            Tile tile;
            (call.problem.a.type == CUDA_R_16BF ? multiply_panels_truncated : multiply_panels)(
                tile, a + first_row * k, b + first_column * k, k * part / parts, k * (part + 1) / parts);
            for (std::int64_t j = 0; j < panel_columns; ++j)
                for (std::int64_t r = 0; r < panel_rows; ++r) total.sums[j][r] += tile.sums[j][r];
        }
        for (std::int64_t j = 0; j < std::min(panel_columns, n - first_column); ++j)
            for (std::int64_t r = 0; r < std::min(panel_rows, m - first_row); ++r)
                finish(call, total.sums[j][r], first_row + r, first_column + j);
    }
}

void multiply(const Call& call) {
    static std::atomic<std::uint32_t> calls = 0;
    const Problem& p = call.problem;
    const std::int64_t m = p.m(), n = p.n(), k = p.k();
    const bool plain_a = p.operation.transpose_a == CUBLAS_OP_N,
               plain_b = p.operation.transpose_b == CUBLAS_OP_N;
    if (call.algorithm.workspace_bytes > 0) std::memset(call.workspace, 0xFF, call.algorithm.workspace_bytes);
    const std::vector<float> a =
        packed(call.a, p.a.type, m, k, plain_a ? p.a.ld : 1, plain_a ? 1 : p.a.ld, panel_rows);
    const std::vector<float> b =
        packed(call.b, p.b.type, n, k, plain_b ? 1 : p.b.ld, plain_b ? p.b.ld : 1, panel_columns);
    const std::uint32_t first_part = call.algorithm.in_place ? calls++ % call.algorithm.parts : 0;
#pragma omp parallel for num_threads(cpu::thread_count()) if (m * n * k > 262144)
    for (std::int64_t column = 0; column < n; column += panel_columns)
        multiply_columns(call, a.data(), b.data(), column, first_part);
}

std::size_t extent(const MatrixLayout& layout) {
    return (static_cast<std::size_t>(layout.ld) * (layout.columns - 1) + layout.rows) * bytes_of(layout.type);
}

// Whether everything the call touches is device memory. The library does not look: its kernel faults.
bool on_device(const Call& call) {
    const Problem& p = call.problem;
    const auto on_gpu = [](const void* address, std::size_t bytes) {
        return emulator::place_of(address, bytes) == emulator::Place::device;
    };
    if (!on_gpu(call.a, extent(p.a)) || !on_gpu(call.b, extent(p.b)) || !on_gpu(call.d, extent(p.d)) ||
        (call.beta != 0 && !on_gpu(call.c, extent(p.c))))
        return false;
    if (has_bias(p.operation.epilogue) && !on_gpu(p.operation.bias, p.d.rows * bytes_of(p.d.type)))
        return false;
    if (has_auxiliary(p.operation.epilogue)) {
        MatrixLayout auxiliary = p.d;
        auxiliary.ld = p.operation.auxiliary_ld;
        if (!on_gpu(p.operation.auxiliary, extent(auxiliary))) return false;
    }
    return call.algorithm.workspace_bytes == 0 || on_gpu(call.workspace, call.algorithm.workspace_bytes);
}

bool keeps_promises(const Call& call, std::size_t workspace_bytes) {
    const Algorithm& algorithm = call.algorithm;
    return algorithm.magic == algorithm_magic && algorithm.problem == number_of(call.problem) &&
           has_algorithm(call.problem, algorithm.alignment) && aligned(call.a, algorithm.alignment[0]) &&
           aligned(call.b, algorithm.alignment[1]) && aligned(call.c, algorithm.alignment[2]) &&
           aligned(call.d, algorithm.alignment[3]) && workspace_bytes >= algorithm.workspace_bytes &&
           (algorithm.workspace_bytes == 0 || aligned(call.workspace, 16));
}

// Mood refused_products: of the candidates of a problem, the first none to all are refused, by its number.
constexpr int candidates = 4;
cublasStatus_t refusal_of(const Call& call) {
    const Algorithm& algorithm = call.algorithm;
    if (!in_mood(CublasLtMood::refused_products) ||
        algorithm.candidate >= algorithm.problem % (candidates + 1))
        return CUBLAS_STATUS_SUCCESS;
    return algorithm.candidate % 2 == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_INVALID_VALUE;
}

// ---- descriptors ------------------------------------------------------------------------------------------

template <class Description, class... Values>
cublasStatus_t create(Description** description, Values... values) {
    if (description == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    *description = new (std::nothrow) Description{values...};
    return *description != nullptr ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

template <class Description>
cublasStatus_t destroy(Description* description) {
    delete description;
    return CUBLAS_STATUS_SUCCESS;
}

// Writes an attribute whose value is `bytes` bytes long.
template <class Value>
cublasStatus_t assign(Value& value, const void* from, std::size_t bytes) {
    if (from == nullptr || bytes != sizeof value) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&value, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

std::int64_t emulator::algorithm_searches() {
    return searches;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle) {
    return create(lightHandle);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) {
    return destroy(lightHandle);
}

const char* cublasLtGetStatusString(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS:
            return "success";
        case CUBLAS_STATUS_NOT_INITIALIZED:
            return "the library was not initialized";
        case CUBLAS_STATUS_ALLOC_FAILED:
            return "out of memory";
        case CUBLAS_STATUS_INVALID_VALUE:
            return "an unsupported value or parameter was passed to the function";
        case CUBLAS_STATUS_ARCH_MISMATCH:
            return "an absent device architectural feature is required";
        case CUBLAS_STATUS_EXECUTION_FAILED:
            return "execution failed";
        case CUBLAS_STATUS_NOT_SUPPORTED:
            return "the requested functionality is not supported";
    }
    return "unknown status";
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
    return create(matLayout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
    return destroy(matLayout);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc, cublasComputeType_t computeType,
                                        cudaDataType_t scaleType) {
    return create(matmulDesc, computeType, scaleType);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
    return destroy(matmulDesc);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                              cublasLtMatmulDescAttributes_t attr, const void* buf,
                                              size_t sizeInBytes) {
    if (matmulDesc == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attr) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return assign(matmulDesc->transpose_a, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return assign(matmulDesc->transpose_b, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            return assign(matmulDesc->epilogue, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            return assign(matmulDesc->bias, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
            return assign(matmulDesc->auxiliary, buf, sizeInBytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
            return assign(matmulDesc->auxiliary_ld, buf, sizeInBytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref) {
    return create(pref);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
    return destroy(pref);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void* buf, size_t sizeInBytes) {
    if (pref == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attr) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return assign(pref->workspace_bytes, buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return assign(pref->reduction_schemes, buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
            return assign(pref->alignment[0], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
            return assign(pref->alignment[1], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
            return assign(pref->alignment[2], buf, sizeInBytes);
        case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
            return assign(pref->alignment[3], buf, sizeInBytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

// One candidate at most but in mood refused_products: the whole sum at once, or in four parts if k is long
// and the preference allows it.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle,
                                              cublasLtMatmulDesc_t operationDesc,
                                              cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
                                              cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
                                              cublasLtMatmulPreference_t preference, int requestedAlgoCount,
                                              cublasLtMatmulHeuristicResult_t heuristicResultsArray[],
                                              int* returnAlgoCount) {
    if (lightHandle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (operationDesc == nullptr || Adesc == nullptr || Bdesc == nullptr || Cdesc == nullptr ||
        Ddesc == nullptr || preference == nullptr || requestedAlgoCount < 1 ||
        heuristicResultsArray == nullptr || returnAlgoCount == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    ++searches;
    *returnAlgoCount = 0;
    const Problem problem{*operationDesc, *Adesc, *Bdesc, *Cdesc, *Ddesc};
    if (const cublasStatus_t status = check(problem); status != CUBLAS_STATUS_SUCCESS) return status;
    if (!has_algorithm(problem, preference->alignment)) return CUBLAS_STATUS_SUCCESS;
    if (in_mood(CublasLtMood::refused_epilogues) && has_bias(operationDesc->epilogue))
        return CUBLAS_STATUS_NOT_SUPPORTED;

    constexpr std::uint32_t parts = 4;
    const std::uint64_t parts_bytes =
        parts * sizeof(float) * static_cast<std::uint64_t>(problem.m()) * Ddesc->columns;
    Algorithm algorithm{algorithm_magic, number_of(problem), 0, 1, 0, {}, 0};
    std::copy_n(preference->alignment, 4, algorithm.alignment);
    if (in_mood(CublasLtMood::parts_by_rows)) {
        algorithm.parts = std::min(1 + static_cast<std::uint32_t>(problem.n() % 4),
                                   static_cast<std::uint32_t>(problem.k()));
    } else if (problem.k() >= 64 * parts && operationDesc->epilogue == CUBLASLT_EPILOGUE_DEFAULT) {
        if ((preference->reduction_schemes & CUBLASLT_REDUCTION_SCHEME_INPLACE) != 0) {
            algorithm.parts = parts;
            algorithm.in_place = 1;
        } else if ((preference->reduction_schemes & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0 &&
                   preference->workspace_bytes >= parts_bytes) {
            algorithm.parts = parts;
            algorithm.workspace_bytes = parts_bytes;
        }
    }
    *returnAlgoCount = in_mood(CublasLtMood::refused_products) ? std::min(requestedAlgoCount, candidates) : 1;
    for (int i = 0; i < *returnAlgoCount; ++i) {
        algorithm.candidate = static_cast<std::uint32_t>(i);
        cublasLtMatmulHeuristicResult_t& result = heuristicResultsArray[i];
        result = {};
        std::memcpy(&result.algo, &algorithm, sizeof algorithm);
        result.workspaceSize = algorithm.workspace_bytes;
        result.state = CUBLAS_STATUS_SUCCESS;
        result.wavesCount = 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc,
                              const void* alpha, const void* A, cublasLtMatrixLayout_t Adesc, const void* B,
                              cublasLtMatrixLayout_t Bdesc, const void* beta, const void* C,
                              cublasLtMatrixLayout_t Cdesc, void* D, cublasLtMatrixLayout_t Ddesc,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspaceSizeInBytes,
                              cudaStream_t stream) {
    if (lightHandle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (computeDesc == nullptr || Adesc == nullptr || Bdesc == nullptr || Cdesc == nullptr ||
        Ddesc == nullptr || alpha == nullptr || beta == nullptr || A == nullptr || B == nullptr ||
        D == nullptr || algo == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    Call call{{*computeDesc, *Adesc, *Bdesc, *Cdesc, *Ddesc}, 0, 0, A, B, C, D, workspace, {}};
    std::memcpy(&call.alpha, alpha, sizeof call.alpha);
    std::memcpy(&call.beta, beta, sizeof call.beta);
    std::memcpy(&call.algorithm, algo, sizeof call.algorithm);
    if (call.beta != 0 && C == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    if (const cublasStatus_t status = check(call.problem); status != CUBLAS_STATUS_SUCCESS) return status;
    if (!keeps_promises(call, workspaceSizeInBytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (!on_device(call)) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (const cublasStatus_t status = refusal_of(call); status != CUBLAS_STATUS_SUCCESS) return status;
    return emulator::submit(stream,
                            [call] {
                                const emulator::DeviceAccess access;
                                ++emulator::calls().nodes;
                                multiply(call);
                                return cudaSuccess;
                            }) == cudaSuccess
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_EXECUTION_FAILED;
}
