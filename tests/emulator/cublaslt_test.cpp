// The stand-in for cuBLASLt against a naive product in double, for every kind of descriptor that matmul.cu
// creates; rejected problems; and that faults of callers are detected.
#include <cublasLt.h>
#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <numbers>

#include "kernels/linear/matmul.h"
#include "tests/emulator/cublaslt.h"
#include "tests/emulator/emulated_device.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// A column-major matrix on the device; between its columns lies NaN.
struct Matrix {
    cudaDataType_t type = CUDA_R_32F;
    std::int64_t rows = 0, columns = 0, ld = 0;
    std::vector<float> values;  // as last copied
    Memory memory;

    Matrix(cudaDataType_t of_type, std::int64_t of_rows, std::int64_t of_columns, std::int64_t gap,
           unsigned seed, bool filled = true)
        : type(of_type), rows(of_rows), columns(of_columns), ld(of_rows + gap) {
        values.assign(static_cast<std::size_t>(ld * columns), not_a_number);
        const std::vector<float> dense = uniform(rows * columns, seed);
        if (filled)
            for (std::int64_t i = 0; i < rows * columns; ++i)
                values[static_cast<std::size_t>(i / rows * ld + i % rows)] =
                    dense[static_cast<std::size_t>(i)];
        if (type == CUDA_R_16BF) values = rounded_to_bf16(values);
        upload();
    }

    void upload() {
        const std::vector<bf16> rounded = to_bf16(values);
        const bool halves = type == CUDA_R_16BF;
        const std::size_t bytes = values.size() * (halves ? sizeof(bf16) : sizeof(float));
        if (memory.size() == 0) memory = Memory(Device::cuda, bytes);
        copy_to_device(Device::cuda, memory.data(),
                       halves ? static_cast<const void*>(rounded.data()) : values.data(), bytes);
    }

    std::vector<float> download() const {
        std::vector<float> floats(values.size());
        std::vector<bf16> halves(values.size());
        const bool half = type == CUDA_R_16BF;
        copy_from_device(Device::cuda, half ? static_cast<void*>(halves.data()) : floats.data(),
                         memory.data(), memory.size());
        return half ? to_floats(halves) : floats;
    }

    // Without the padding between columns, which must still be NaN.
    std::vector<float> dense() const {
        std::vector<float> result;
        bool untouched = true;
        const std::vector<float> all = download();
        for (std::int64_t i = 0; i < columns * ld; ++i)
            if (i % ld < rows)
                result.push_back(all[static_cast<std::size_t>(i)]);
            else
                untouched = untouched && std::isnan(all[static_cast<std::size_t>(i)]);
        CHECK(untouched);
        return result;
    }

    double at(std::int64_t row, std::int64_t column) const {
        return values[static_cast<std::size_t>(row + column * ld)];
    }
};

template <auto destroy>
struct Destroy {
    template <class Object>
    void operator()(Object* object) const {
        destroy(object);
    }
};
template <class Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

// One product, and the options of its call.
struct Multiplication {
    std::int64_t m, n, k;
    cudaDataType_t type = CUDA_R_32F, result_type = CUDA_R_32F;
    bool transpose_a = false, transpose_b = false;
    float beta = 0;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    std::int64_t gap = 0;
    std::uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    std::size_t workspace_bytes = 0;
    std::int64_t lda = 0, ldb = 0, ldd = 0;  // 0: the matrices' own
    cublasComputeType_t compute_type = CUBLAS_COMPUTE_32F;
    cudaStream_t stream = nullptr;
};

struct Operands {
    Matrix a, b, d, bias, auxiliary;
    explicit Operands(const Multiplication& p)
        : a(p.type, p.transpose_a ? p.k : p.m, p.transpose_a ? p.m : p.k, p.gap, 1),
          b(p.type, p.transpose_b ? p.n : p.k, p.transpose_b ? p.k : p.n, p.gap, 2),
          d(p.result_type, p.m, p.n, p.gap, 3, p.beta != 0),
          bias(p.result_type, p.m, 1, 0, 4),
          auxiliary(p.result_type, p.m, p.n, p.gap, 5, false) {}
};

// An operation with its layouts and the algorithm that the heuristic found for it.
class Request {
  public:
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    int results = 0;
    cublasLtMatmulHeuristicResult_t result{};

    Request(const Multiplication& p, const Operands& on) : p_(p) {
        cublasLtHandle_t handle = nullptr;
        REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
        handle_.reset(handle);
        cublasLtMatmulDesc_t operation = nullptr;
        REQUIRE(cublasLtMatmulDescCreate(&operation, p.compute_type, CUDA_R_32F) == CUBLAS_STATUS_SUCCESS);
        operation_.reset(operation);
        set(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
        if (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
            set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(on.bias.memory.data()));
        if (p.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
            set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(on.auxiliary.memory.data()));
            set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, on.auxiliary.ld);
        }
        a_ = layout(on.a, p.lda);
        b_ = layout(on.b, p.ldb);
        d_ = layout(on.d, p.ldd);
        find();
    }

    cublasStatus_t run(const Operands& on, void* workspace = nullptr) {
        const float alpha = 1;
        return cublasLtMatmul(handle_.get(), operation_.get(), &alpha, on.a.memory.data(), a_.get(),
                              on.b.memory.data(), b_.get(), &p_.beta, on.d.memory.data(), d_.get(),
                              on.d.memory.data(), d_.get(), &result.algo, workspace, p_.workspace_bytes,
                              p_.stream);
    }

    template <class Value>
    cublasStatus_t set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
        return cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof value);
    }

  private:
    using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
    static Layout layout(const Matrix& matrix, std::int64_t ld) {
        cublasLtMatrixLayout_t made = nullptr;
        REQUIRE(cublasLtMatrixLayoutCreate(&made, matrix.type, static_cast<std::uint64_t>(matrix.rows),
                                           static_cast<std::uint64_t>(matrix.columns),
                                           ld != 0 ? ld : matrix.ld) == CUBLAS_STATUS_SUCCESS);
        return Layout(made);
    }

    void find() {
        cublasLtMatmulPreference_t made = nullptr;
        REQUIRE(cublasLtMatmulPreferenceCreate(&made) == CUBLAS_STATUS_SUCCESS);
        const Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference(made);
        const std::uint64_t bytes = p_.workspace_bytes;
        cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                             sizeof bytes);
        cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                             &p_.reduction_schemes, sizeof p_.reduction_schemes);
        status = cublasLtMatmulAlgoGetHeuristic(handle_.get(), operation_.get(), a_.get(), b_.get(), d_.get(),
                                                d_.get(), made, 1, &result, &results);
    }

    Multiplication p_;
    Owned<cublasLtHandle_t, cublasLtDestroy> handle_;
    Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> operation_;
    Layout a_, b_, d_;
};

// op(A) op(B) + beta D + bias, column by column.
std::vector<double> naive_product(const Multiplication& p, const Operands& on) {
    std::vector<double> product;
    for (std::int64_t j = 0; j < p.n; ++j)
        for (std::int64_t i = 0; i < p.m; ++i) {
            double sum = p.beta != 0 ? static_cast<double>(p.beta) * on.d.at(i, j) : 0.0;
            if (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT) sum += on.bias.at(i, 0);
            for (std::int64_t l = 0; l < p.k; ++l)
                sum += (p.transpose_a ? on.a.at(l, i) : on.a.at(i, l)) *
                       (p.transpose_b ? on.b.at(j, l) : on.b.at(l, j));
            product.push_back(sum);
        }
    return product;
}

// Error of a result in excess of its own rounding.
double error_of(const std::vector<float>& actual, const std::vector<double>& expected, cudaDataType_t type) {
    return type == CUDA_R_16BF ? excess_error(actual, expected, 1.01 * bf16_rounding)
                               : excess_error(actual, expected, 0);
}

const std::vector<std::array<std::int64_t, 3>> sizes = {{1, 1, 1},   {3, 5, 7},     {16, 1, 24}, {64, 17, 12},
                                                        {33, 65, 3}, {40, 24, 300}, {128, 8, 64}};

// The kinds of products in matmul.cu: y, dx, dW.
const std::vector<std::pair<bool, bool>> transposes = {{true, false}, {false, false}, {false, true}};
const std::vector<std::pair<cudaDataType_t, cudaDataType_t>> types = {
    {CUDA_R_32F, CUDA_R_32F}, {CUDA_R_16BF, CUDA_R_16BF}, {CUDA_R_16BF, CUDA_R_32F}};

}  // namespace

TEST_CASE("stand-in for cuBLASLt: products of all layouts, types and sizes") {
    for (const auto& [m, n, k] : sizes)
        for (const auto& [transpose_a, transpose_b] : transposes)
            for (const auto& [type, result_type] : types)
                for (const std::int64_t gap : {0, 8})
                    for (const float beta : {0.0f, 1.0f}) {
                        const Multiplication p{.m = m,
                                               .n = n,
                                               .k = k,
                                               .type = type,
                                               .result_type = result_type,
                                               .transpose_a = transpose_a,
                                               .transpose_b = transpose_b,
                                               .beta = beta,
                                               .gap = gap};
                        CAPTURE(m);
                        CAPTURE(n);
                        CAPTURE(k);
                        CAPTURE(type);
                        const Operands on(p);
                        Request request(p, on);
                        REQUIRE(request.status == CUBLAS_STATUS_SUCCESS);
                        const bool refused = type == CUDA_R_16BF && (on.a.ld % 2 != 0 || on.b.ld % 2 != 0);
                        CHECK(request.results == (refused ? 0 : 1));
                        if (request.results == 0) continue;
                        REQUIRE(request.run(on) == CUBLAS_STATUS_SUCCESS);
                        CHECK(error_of(on.d.dense(), naive_product(p, on), result_type) < 1e-4);
                    }
}

TEST_CASE("stand-in for cuBLASLt: epilogues") {
    for (const std::int64_t n : {1, 9, 70})
        for (const std::int64_t m : {8, 64, 136})
            for (const auto type : {CUDA_R_32F, CUDA_R_16BF})
                for (const auto epilogue :
                     {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_GELU_BIAS, CUBLASLT_EPILOGUE_GELU_AUX_BIAS}) {
                    const bool gelu = epilogue != CUBLASLT_EPILOGUE_BIAS;
                    const Multiplication p{.m = m,
                                           .n = n,
                                           .k = 48,
                                           .type = type,
                                           .result_type = type,
                                           .transpose_a = true,
                                           .epilogue = epilogue,
                                           .gap = 8};
                    const Operands on(p);
                    Request request(p, on);
                    REQUIRE(request.status == CUBLAS_STATUS_SUCCESS);
                    CHECK(request.results == (gelu && type == CUDA_R_32F ? 0 : 1));
                    if (request.results == 0) continue;
                    REQUIRE(request.run(on) == CUBLAS_STATUS_SUCCESS);
                    std::vector<double> expected = naive_product(p, on);
                    if (gelu) {
                        if (epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
                            CHECK(error_of(on.auxiliary.dense(), expected, type) < 1e-4);
                        for (double& x : expected)
                            x *=
                                0.5 *
                                (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
                    }
                    CHECK(error_of(on.d.dense(), expected, type) < 1e-4);
                }
}

TEST_CASE("stand-in for cuBLASLt: a long sum in parts takes the workspace, always in the same order") {
    Multiplication p{.m = 24, .n = 40, .k = 1000, .transpose_b = true, .workspace_bytes = 1 << 16};
    const Memory workspace(Device::cuda, p.workspace_bytes);
    const auto results_of_two_calls = [&] {
        std::vector<std::vector<float>> results;
        for (int call = 0; call < 2; ++call) {
            const Operands on(p);
            Request request(p, on);
            REQUIRE(request.results == 1);
            REQUIRE(request.run(on, workspace.data()) == CUBLAS_STATUS_SUCCESS);
            results.push_back(on.d.dense());
            CHECK(error_of(results.back(), naive_product(p, on), CUDA_R_32F) < 1e-4);
        }
        return results;
    };
    const auto in_workspace = results_of_two_calls();
    CHECK(same_bits(in_workspace[0], in_workspace[1]));
    p.reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;  // in place: the order is not ours
    const auto in_place = results_of_two_calls();
    CHECK(!same_bits(in_place[0], in_place[1]));
    p.reduction_schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    const auto at_once = results_of_two_calls();
    CHECK(!same_bits(at_once[0], in_workspace[0]));
}

TEST_CASE("stand-in for cuBLASLt: a wrong leading dimension is seen, an impossible one refused") {
    const Multiplication right{.m = 24, .n = 40, .k = 16, .transpose_a = true, .gap = 8};
    const auto error = [](const Multiplication& p) {
        const Operands on(p);
        Request request(p, on);
        REQUIRE(request.results == 1);
        REQUIRE(request.run(on) == CUBLAS_STATUS_SUCCESS);
        const std::vector<float> all = on.d.download();
        std::vector<float> dense;
        for (std::int64_t i = 0; i < p.m * p.n; ++i)
            dense.push_back(all[static_cast<std::size_t>(i / p.m * on.d.ld + i % p.m)]);
        return error_of(dense, naive_product(p, on), CUDA_R_32F);
    };
    CHECK(error(right) < 1e-5);
    for (std::int64_t Multiplication::*ld :
         {&Multiplication::lda, &Multiplication::ldb, &Multiplication::ldd}) {
        Multiplication wrong = right;
        wrong.*ld = ld == &Multiplication::ldd ? right.m + 4 : right.k + 4;  // fits into the memory
        CHECK(error(wrong) > 1);
        wrong.*ld = ld == &Multiplication::ldd ? right.m - 1 : right.k - 1;
        const Operands on(wrong);
        Request request(wrong, on);
        CHECK(request.status == CUBLAS_STATUS_INVALID_VALUE);
        CHECK(request.run(on) == CUBLAS_STATUS_INVALID_VALUE);
        wrong.*ld = 1000;  // reaches beyond the memory
        Request too_far(wrong, on);
        CHECK(too_far.status == CUBLAS_STATUS_SUCCESS);
        CHECK(too_far.run(on) == CUBLAS_STATUS_EXECUTION_FAILED);
    }
}

TEST_CASE("stand-in for cuBLASLt: what it refuses") {
    const Multiplication good{.m = 16, .n = 8, .k = 24, .type = CUDA_R_16BF, .result_type = CUDA_R_16BF};
    const Operands on(good);
    Request found(good, on);
    REQUIRE(found.run(on) == CUBLAS_STATUS_SUCCESS);

    SUBCASE("types that the library's table does not hold") {
        Multiplication p = good;
        p.type = CUDA_R_32F;  // float in, bf16 out
        CHECK(Request(p, Operands(p)).status == CUBLAS_STATUS_NOT_SUPPORTED);
        p = good;
        p.compute_type = CUBLAS_COMPUTE_32F_FAST_TF32;
        CHECK(Request(p, Operands(p)).status == CUBLAS_STATUS_NOT_SUPPORTED);
        p = good;
        p.epilogue = CUBLASLT_EPILOGUE_BGRADB;
        CHECK(Request(p, Operands(p)).status == CUBLAS_STATUS_NOT_SUPPORTED);
    }
    SUBCASE("an algorithm of another problem") {
        Multiplication p = good;
        p.n = 9;
        const Operands others(p);
        Request other(p, others);
        other.result = found.result;
        CHECK(other.run(others) == CUBLAS_STATUS_INVALID_VALUE);
    }
    SUBCASE("pointers less aligned than promised, and pointers of the host") {
        Operands moved(good);
        std::vector<float> host(16 * 24);
        const float one = 1, zero = 0;
        cublasLtHandle_t handle = nullptr;
        cublasLtCreate(&handle);
        cublasLtMatmulDesc_t operation = nullptr;
        cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
        cublasLtMatrixLayoutCreate(&a, CUDA_R_16BF, 16, 24, 16);
        cublasLtMatrixLayoutCreate(&b, CUDA_R_16BF, 24, 8, 24);
        cublasLtMatrixLayoutCreate(&d, CUDA_R_16BF, 16, 8, 16);
        const auto run = [&](const void* A) {
            return cublasLtMatmul(handle, operation, &one, A, a, moved.b.memory.data(), b, &zero,
                                  moved.d.memory.data(), d, moved.d.memory.data(), d, &found.result.algo,
                                  nullptr, 0, nullptr);
        };
        CHECK(run(moved.a.memory.data()) == CUBLAS_STATUS_SUCCESS);
        CHECK(run(moved.a.memory.data() + 16) == CUBLAS_STATUS_INVALID_VALUE);
        const auto* aligned_host = reinterpret_cast<const std::byte*>(
            (reinterpret_cast<std::uintptr_t>(host.data()) + 255) / 256 * 256);
        CHECK(run(aligned_host) == CUBLAS_STATUS_EXECUTION_FAILED);
        for (const auto layout : {a, b, d}) cublasLtMatrixLayoutDestroy(layout);
        cublasLtMatmulDescDestroy(operation);
        cublasLtDestroy(handle);
    }
    SUBCASE("a workspace smaller than promised") {
        Multiplication p{.m = 24, .n = 40, .k = 1000, .workspace_bytes = 1 << 16};
        const Operands long_sum(p);
        Request request(p, long_sum);
        REQUIRE(request.result.workspaceSize > 0);
        p.workspace_bytes = 16;
        Request smaller(p, long_sum);
        CHECK(smaller.result.workspaceSize == 0);
        smaller.result = request.result;
        CHECK(smaller.run(long_sum) == CUBLAS_STATUS_INVALID_VALUE);
    }
    SUBCASE("attributes of the wrong size, epilogues without their pointers") {
        CHECK(found.set(CUBLASLT_MATMUL_DESC_TRANSA, std::int64_t{0}) == CUBLAS_STATUS_INVALID_VALUE);
        CHECK(found.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS) == CUBLAS_STATUS_SUCCESS);
        CHECK(found.run(on) == CUBLAS_STATUS_INVALID_VALUE);
    }
}

namespace {

// The stand-in in one mood during its lifetime.
struct InMood {
    explicit InMood(emulator::CublasLtMood mood) { emulator::emulated_device().cublaslt = mood; }
    ~InMood() { emulator::emulated_device().cublaslt = before; }
    InMood(const InMood&) = delete;
    InMood& operator=(const InMood&) = delete;
    const emulator::CublasLtMood before = emulator::emulated_device().cublaslt;
};
using emulator::CublasLtMood;

}  // namespace

TEST_CASE("stand-in for cuBLASLt, moods: no algorithm with an epilogue") {
    const InMood mood(CublasLtMood::refused_epilogues);
    Multiplication p{.m = 16, .n = 8, .k = 24, .type = CUDA_R_16BF, .result_type = CUDA_R_16BF};
    CHECK(Request(p, Operands(p)).results == 1);
    p.epilogue = CUBLASLT_EPILOGUE_BIAS;
    CHECK(Request(p, Operands(p)).status == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("stand-in for cuBLASLt, moods: the product refuses what the heuristic offers") {
    const InMood mood(CublasLtMood::refused_products);
    int refused = 0, run = 0;
    for (std::int64_t n = 1; n <= 20; ++n) {
        const Multiplication p{.m = 16, .n = n, .k = 24};
        const Operands on(p);
        Request request(p, on);
        REQUIRE(request.results == 1);
        (request.run(on) == CUBLAS_STATUS_SUCCESS ? run : refused) += 1;
    }
    CHECK(run > 0);
    CHECK(refused > run);
}

TEST_CASE("stand-in for cuBLASLt, moods: a row's bits depend on the number of rows") {
    const auto first_column = [](std::int64_t n) {
        const Multiplication p{.m = 8, .n = n, .k = 300};
        const Operands on(p);
        Request request(p, on);
        REQUIRE(request.run(on) == CUBLAS_STATUS_SUCCESS);
        std::vector<float> column = on.d.dense();
        column.resize(8);
        return column;
    };
    CHECK(same_bits(first_column(4), first_column(5)));
    const InMood mood(CublasLtMood::parts_by_rows);
    CHECK_FALSE(same_bits(first_column(4), first_column(5)));
}

TEST_CASE("linear layers are computed whatever the library refuses") {
    const auto floats = [](const Matrix& matrix) { return reinterpret_cast<bf16*>(matrix.memory.data()); };
    std::int64_t rows = 41;  // another for each problem: plans are kept
    for (const CublasLtMood each :
         {CublasLtMood::refused_epilogues, CublasLtMood::refused_products, CublasLtMood::parts_by_rows})
        for (int time = 0; time < 6; ++time, ++rows) {
            CAPTURE(rows);
            const InMood mood(each);
            const Multiplication p{.m = 24,
                                   .n = rows,
                                   .k = 40,
                                   .type = CUDA_R_16BF,
                                   .result_type = CUDA_R_16BF,
                                   .transpose_a = true,
                                   .epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS};
            const Operands on(p);
            cuda::linear_gelu_forward(Stream(), floats(on.d), floats(on.auxiliary), floats(on.b),
                                      floats(on.a), floats(on.bias), rows, p.m, p.k);
            std::vector<double> expected = naive_product(p, on);
            CHECK(error_of(on.auxiliary.dense(), expected, CUDA_R_16BF) < 1e-4);
            for (double& x : expected) x *= 0.5 * (1 + std::erf(x / std::numbers::sqrt2));
            CHECK(excess_error(on.d.dense(), expected, 2.2 * bf16_rounding) < 1e-3);
        }
}

TEST_CASE("a captured linear layer runs when its graph is launched") {
    const std::int64_t rows = 20, N = 24, K = 16;
    const Multiplication p{
        .m = N, .n = rows, .k = K, .transpose_a = true, .epilogue = CUBLASLT_EPILOGUE_BIAS};
    Operands on(p);
    Stream stream;
    REQUIRE(cudaStreamCreateWithFlags(&stream.handle, cudaStreamNonBlocking) == cudaSuccess);
    const auto floats = [](const Matrix& matrix) { return reinterpret_cast<float*>(matrix.memory.data()); };
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    REQUIRE(cudaStreamBeginCapture(stream.handle, cudaStreamCaptureModeRelaxed) == cudaSuccess);
    cuda::linear_forward(stream, floats(on.d), N, floats(on.b), K, floats(on.a), floats(on.bias), rows, N, K);
    REQUIRE(cudaStreamEndCapture(stream.handle, &graph) == cudaSuccess);
    REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    CHECK(std::isnan(on.d.download()[0]));
    for (const unsigned seed : {7u, 8u}) {
        on.b.values = uniform(rows * K, seed);
        on.b.upload();
        REQUIRE(cudaGraphLaunch(executable, stream.handle) == cudaSuccess);
        REQUIRE(cudaStreamSynchronize(stream.handle) == cudaSuccess);
        CHECK(error_of(on.d.dense(), naive_product(p, on), CUDA_R_32F) < 1e-5);
    }
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaStreamDestroy(stream.handle);
}

TEST_CASE("an algorithm is looked for once per problem") {
    const Multiplication p{
        .m = 24, .n = 19, .k = 16, .transpose_a = true, .epilogue = CUBLASLT_EPILOGUE_BIAS};
    const Operands on(p);
    const auto floats = [](const Matrix& matrix) { return reinterpret_cast<float*>(matrix.memory.data()); };
    const auto searches_of = [&](std::int64_t rows, std::int64_t offset) {
        const std::int64_t before = emulator::algorithm_searches();
        cuda::linear_forward(Stream(), floats(on.d), p.m, floats(on.b) + offset, p.k, floats(on.a),
                             floats(on.bias), rows, p.m, p.k);
        return emulator::algorithm_searches() - before;
    };
    CHECK(searches_of(19, 0) <= 1);  // other tests may have cached it
    CHECK(searches_of(19, 0) == 0);
    CHECK(searches_of(13, 4) == 1);  // another number of rows, another alignment
    CHECK(searches_of(13, 4) == 0);
    CHECK(searches_of(13, 8) == 1);
    CHECK(searches_of(13, 0) == 1);
    CHECK(searches_of(13, 0) == 0);
}
