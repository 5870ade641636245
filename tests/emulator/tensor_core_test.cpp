#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "tests/emulator/run_threads.h"
#include "tests/emulator/truncated_sum.h"

using namespace emulator;

namespace {

std::vector<bf16> random_bf16(int count, unsigned seed) {
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> distribution(-1, 1);
    std::vector<bf16> values(count);
    for (bf16& value : values) value = nearest_bf16(distribution(engine));
    return values;
}

// The sum of truncated_sum.h by whole numbers of 64 bits, for one lane.
float truncated(float sum, const std::vector<float>& products, int extra_bits) {
    int largest = std::ilogb(sum);
    for (const float each : products)
        if (each != 0) largest = std::max(largest, std::ilogb(each));
    const auto unit = [&](int bits) { return std::ldexp(1.0, largest - bits); };
    std::int64_t total = static_cast<std::int64_t>(sum / unit(23 + extra_bits));
    for (const float each : products) total += static_cast<std::int64_t>(each / unit(23 + extra_bits));
    if (total == 0) return 0;
    const double value = static_cast<double>(total) * unit(23 + extra_bits);
    const double last_place = std::ldexp(1.0, std::ilogb(value) - 23);
    return static_cast<float>(std::trunc(value / last_place) * last_place);
}

// One lane of add_products.
float added(float sum, const std::vector<float>& products, const TensorCore& core) {
    cpu::Vector lanes = cpu::filled(sum), terms[most_products] = {};
    for (std::size_t i = 0; i < products.size(); ++i) terms[i] = cpu::filled(products[i]);
    add_products(lanes, terms, static_cast<int>(products.size()), core);
    return lanes.part[0][3];
}

}  // namespace

TEST_CASE("tensor cores: a sum is aligned and cut off, with one more bit on Ampere and two on Hopper") {
    const TensorCore ampere{8, 1}, hopper{16, 2};
    CHECK(added(1, std::vector<float>(8, 0x1p-24f), ampere) == 1 + 0x1p-21f);
    CHECK(added(1, std::vector<float>(8, 0x1p-25f), ampere) == 1);
    CHECK(added(1, std::vector<float>(16, 0x1p-25f), hopper) == 1 + 0x1p-21f);
    CHECK(added(1, std::vector<float>(16, 0x1p-26f), hopper) == 1);
    CHECK(added(1, {0x1.8p-23f}, hopper) == 1 + 0x1p-23f);  // to nearest it were one more
    CHECK(added(-1, {-0x1.8p-23f}, hopper) == -1 - 0x1p-23f);
    CHECK(added(0, {0x1p-120f, 0x1p-121f}, hopper) == doctest::Approx(0x1.8p-120f));
    CHECK(added(INFINITY, {1}, hopper) == INFINITY);
    CHECK(std::isnan(added(INFINITY, {-INFINITY}, hopper)));

    std::mt19937 engine(5);
    std::uniform_int_distribution<int> exponent(-12, 3), significand(-255, 255);
    for (const TensorCore& core : {ampere, hopper})
        for (int time = 0; time < 1000; ++time) {
            const auto factor = [&] {
                return std::ldexp(static_cast<float>(significand(engine)), exponent(engine));
            };
            std::vector<float> products;
            for (int i = 0; i < core.products; ++i) products.push_back(factor() * factor());
            const float sum = factor() * 1.2345678f;
            CHECK(added(sum, products, core) == truncated(sum, products, core.extra_bits));
        }
}

TEST_CASE("tensor cores: products follow the card's architecture") {
    const EmulatedDevice before = emulated_device();
    for (const int major : {8, 9}) {
        emulated_device().major = major;
        const DeviceArray<float> result(1);
        float* const out = result.data();
        REQUIRE(run_threads(1, 32, 16, [=] {
                    const std::uint32_t one = 0x3F803F80, tiny = 0x33003300;  // pairs of 1 and of 2^-25
                    const std::uint32_t a[4] = {one, one, one, one}, b[2] = {tiny, tiny};
                    float d[4] = {1, 1, 1, 1};
                    cuda::mma_m16n8k16(d, a, b);
                    if (threadIdx.x == 0) out[0] = d[0];
                }) == cudaSuccess);
        CHECK(result.values()[0] == (major == 8 ? 1 : 1 + 0x1p-21f));
    }
    emulated_device() = before;
}

// The fragments are filled by ldmatrix as a kernel fills them: A [16, 16] and B [16, 8] row by row in shared
// memory.
TEST_CASE("emulated device: ldmatrix and mma multiply a 16x16 with a 16x8 matrix") {
    const std::vector<bf16> a = random_bf16(16 * 16, 1), b = random_bf16(16 * 8, 2);
    const DeviceArray<bf16> on_card_a(a), on_card_b(b);
    const DeviceArray<float> product(16 * 8);
    const bf16 *const from_a = on_card_a.data(), *const from_b = on_card_b.data();
    float* const to = product.data();
    REQUIRE(run_threads(1, 32, 768, [=] {
                cuda::SharedMemory shared;
                bf16* const tile_a = shared.take<bf16>(256);
                bf16* const tile_b = shared.take<bf16>(128);
                const int lane = static_cast<int>(threadIdx.x);
                for (int i = lane; i < 256; i += 32) tile_a[i] = from_a[i];
                for (int i = lane; i < 128; i += 32) tile_b[i] = from_b[i];
                __syncthreads();
                std::uint32_t fragment_a[4], fragment_b[2];
                cuda::ldmatrix_x4(fragment_a, tile_a + lane % 16 * 16 + lane / 16 * 8);
                cuda::ldmatrix_x2_transposed(fragment_b, tile_b + lane % 16 * 8);
                float d[4] = {1, 1, 1, 1};
                cuda::mma_m16n8k16(d, fragment_a, fragment_b);
                for (int i = 0; i < 4; ++i) to[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
            }) == cudaSuccess);
    const std::vector<float> result = product.values();
    for (int row = 0; row < 16; ++row)
        for (int column = 0; column < 8; ++column) {
            double expected = 1;
            for (int k = 0; k < 16; ++k)
                expected += double(to_float(a[row * 16 + k])) * to_float(b[k * 8 + column]);
            CHECK(result[row * 8 + column] == doctest::Approx(expected).epsilon(1e-6));
        }
}

// Source: PTX ISA, "Warp-level matrix load instruction: ldmatrix", the figure of the fragment layout.
TEST_CASE("emulated device: ldmatrix hands out 8x8 matrices") {
    for (const bool transposed : {false, true}) {
        const DeviceArray<std::uint32_t> loaded(32 * 6);
        std::uint32_t* const out = loaded.data();
        REQUIRE(run_threads(1, 32, 512, [=] {
                    cuda::SharedMemory shared;
                    std::uint16_t* const rows = shared.take<std::uint16_t>(256);
                    const int lane = static_cast<int>(threadIdx.x);
                    for (int i = 0; i < 8; ++i) rows[lane * 8 + i] = static_cast<std::uint16_t>(lane * 8 + i);
                    __syncwarp();
                    std::uint32_t four[4], two[2];
                    if (transposed) {
                        cuda::ldmatrix_x4_transposed(four, rows + lane * 8);
                        cuda::ldmatrix_x2_transposed(two, rows + lane % 16 * 8);
                    } else {
                        cuda::ldmatrix_x4(four, rows + lane * 8);
                        cuda::ldmatrix_x2(two, rows + lane % 16 * 8);
                    }
                    for (int i = 0; i < 4; ++i) out[lane * 6 + i] = four[i];
                    for (int i = 0; i < 2; ++i) out[lane * 6 + 4 + i] = two[i];
                }) == cudaSuccess);
        const std::vector<std::uint32_t> words = loaded.values();
        for (unsigned lane = 0; lane < 32; ++lane)
            for (unsigned i = 0; i < 6; ++i) {
                const unsigned g = lane / 4, t = lane % 4, matrix = i % 4;
                const unsigned low = transposed ? 2 * t * 8 + g : g * 8 + 2 * t;
                const unsigned high = transposed ? (2 * t + 1) * 8 + g : g * 8 + 2 * t + 1;
                CHECK(words[lane * 6 + i] == ((matrix * 64 + low) | (matrix * 64 + high) << 16));
            }
    }
}

TEST_CASE("emulated device: asynchronous copies arrive at the wait of their group") {
    const DeviceArray<float> source(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
    const DeviceArray<float> seen(6);
    const float* const from = source.data();
    float* const out = seen.data();
    REQUIRE(run_threads(1, 1, 48, [=] {
                cuda::SharedMemory shared;
                float* const tile = shared.take<float>(12);
                cuda::copy_async_16(tile, from);
                cuda::copy_async_commit();
                cuda::copy_async_16(tile + 4, from + 4);
                cuda::copy_async_16(tile + 8, nullptr, false);
                cuda::copy_async_commit();
                out[0] = tile[0];
                cuda::copy_async_wait<1>();
                out[1] = tile[0];
                out[2] = tile[4];
                cuda::copy_async_wait<0>();
                out[3] = tile[4];
                out[4] = tile[7];
                out[5] = tile[8];
            }) == cudaSuccess);
    const std::vector<float> values = seen.values();
    CHECK(std::isnan(values[0]));
    CHECK(values[1] == 1);
    CHECK(std::isnan(values[2]));
    CHECK(values[3] == 5);
    CHECK(values[4] == 8);
    CHECK(values[5] == 0);
}

TEST_CASE("emulated device: a wait leaves out copies that no group holds yet") {
    const DeviceArray<float> source(std::vector<float>{1, 2, 3, 4});
    const DeviceArray<float> seen(2);
    const float* const from = source.data();
    float* const out = seen.data();
    REQUIRE(run_threads(1, 1, 16, [=] {
                cuda::SharedMemory shared;
                float* const tile = shared.take<float>(4);
                cuda::copy_async_16(tile, from);
                cuda::copy_async_wait<0>();
                out[0] = tile[0];
                cuda::copy_async_commit();
                cuda::copy_async_wait<0>();
                out[1] = tile[0];
            }) == cudaSuccess);
    CHECK(std::isnan(seen.values()[0]));
    CHECK(seen.values()[1] == 1);
}

TEST_CASE("emulated device: rounding to bf16 and 2^x") {
    CHECK(cuda::round_to_bf16(1 + 0x1p-8f).bits == 0x3F80);      // halfway, to even
    CHECK(cuda::round_to_bf16(1 + 3 * 0x1p-8f).bits == 0x3F82);  // halfway, to even
    CHECK(cuda::pack_bf16(1.0f, -2.0f) == 0xC0003F80u);
    CHECK(cuda::exp2_approximate(-3.0f) == 0.125f);
    CHECK(cuda::exp2_approximate(-127.0f) == 0.0f);
    CHECK(cuda::exp2_approximate(-INFINITY) == 0.0f);
    CHECK(std::isnan(cuda::exp2_approximate(NAN)));
}
