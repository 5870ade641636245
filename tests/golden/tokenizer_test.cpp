// The tokenizer against the authors' release: encoder, codes, quantiser loss, reconstruction, every gradient.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/files/pth/pth.h"
#include "runtime/ops/ops.h"
#include "tests/bf16_devices.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/stored_form.h"
#include "tests/skip.h"
#include "tests/test_devices.h"

namespace {

constexpr double fp32_tolerance = 1e-5, gradient_tolerance = 1e-4;

// [B, C, P] <-> [B, P, C].
std::vector<float> transposed(std::span<const float> x, std::int64_t B, std::int64_t rows,
                              std::int64_t columns) {
    std::vector<float> y(x.size());
    for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t i = 0; i < rows; ++i)
            for (std::int64_t j = 0; j < columns; ++j)
                y[static_cast<std::size_t>((b * columns + j) * rows + i)] =
                    x[static_cast<std::size_t>((b * rows + i) * columns + j)];
    return y;
}

// Rows of a tensor [B * P, C] of any type as [B, C, P] floats.
std::vector<float> read_maps(Tape& tape, const Tensor& tensor, std::int64_t B) {
    std::vector<float> values(static_cast<std::size_t>(tensor.rows() * tensor.width()));
    if (tape.element(tensor.node()) == Element::bf16) {
        std::vector<bf16> rounded(values.size());
        copy_from_tensor(tape, rounded.data(), tensor, rounded.size() * sizeof(bf16));
        std::ranges::transform(rounded, values.begin(), [](bf16 value) { return to_float(value); });
    } else {
        copy_from_tensor(tape, values.data(), tensor, values.size() * sizeof(float));
    }
    return transposed(values, B, tensor.rows() / B, tensor.width());
}

struct Golden {
    explicit Golden(Backend backend)
        : arrays(GoldenFile("vqgan_tiny.safetensors").path()),
          weights(weights_file.path()),
          tokenizer(read_tokenizer_metadata(weights).config, backend) {
        tokenizer.parameters().allocate(backend, true);
        load_tokenizer_weights(weights, tokenizer.parameters(), "", tokenizer.parameters().values());
        tokenizer.parameters().round_values();
    }
    SafetensorsFile arrays;
    GoldenFile weights_file{"vqgan_tiny.pth"};
    PthFile weights;
    Tokenizer tokenizer;
};

constexpr std::int64_t B = 3, C = 3, side = 16, f = 2, tokens = 64;
constexpr MapSize picture{side, side};

struct Pass {
    std::vector<float> z, entries, reconstruction;
    std::vector<std::int32_t> codes;
    double codebook_loss = 0, l1_loss = 0;
};

// The gradient of mean |reconstruction - pictures| into the reconstruction, by the host.
void leave_l1_gradient(Tape& tape, const Tensor& reconstruction, const std::vector<float>& pictures) {
    REQUIRE(tape.begin_gradient(reconstruction.node()) == GradientWrite::overwrite);
    if (tape.planning()) return;
    const auto count = static_cast<std::size_t>(tape.elements(reconstruction.node()));
    const std::vector<float> maps =
        transposed(read_maps(tape, reconstruction, B), B, C, picture.height * picture.width);
    std::vector<float> gradient(count);
    for (std::size_t i = 0; i < count; ++i)
        gradient[i] = (maps[i] > pictures[i]   ? 1.0f
                       : maps[i] < pictures[i] ? -1.0f
                                               : 0.0f) /
                      static_cast<float>(count);
    const ElementPointer target = tape.mutable_gradient_data(reconstruction.node());
    if (target.element == Element::f32)
        return copy_to_device(tape.device(), target.address, gradient.data(), count * sizeof(float));
    std::vector<bf16> rounded(count);
    std::ranges::transform(gradient, rounded.begin(), nearest_bf16);
    copy_to_device(tape.device(), target.address, rounded.data(), count * sizeof(bf16));
}

Pass run_pass(Golden& golden, Backend backend) {
    Pass pass;
    const Tokenizer& tokenizer = golden.tokenizer;
    const auto images = golden.arrays.bytes_u8("images_u8");
    golden.tokenizer.parameters().zero_gradients();
    Tape tape(backend);
    tape.arena().poison_released(true);
    tape.set_recording(true);
    double total = 0;
    std::vector<float> pictures;
    const auto job = [&] {
        const Tensor bytes = tape.create(B, C * side * side, false, Element::u8),
                     sum = tape.create(1, 1, false, Element::f64);
        copy_to_tensor(tape, bytes, images.data(), images.size());
        zero_tensor(tape, sum);
        const Tensor maps = picture_maps(tape, bytes, C, side);
        const Tensor z = tokenizer.encode(tape, maps, picture), codes = tokenizer.codes(tape, z);
        const Tensor entries =
            tokenizer.quantise(tape, z, codes, 1.0f / static_cast<float>(z.rows() * z.width()), sum);
        const Tensor reconstruction = tokenizer.decode(tape, entries, {side / f, side / f});
        if (!tape.planning()) {
            pictures.resize(images.size());
            copy_from_tensor(tape, pictures.data(), maps, pictures.size() * sizeof(float));
            pass.codes.resize(B * tokens);
            copy_from_tensor(tape, pass.codes.data(), codes, pass.codes.size() * 4);
            copy_from_tensor(tape, &total, sum, sizeof total);
            pass.z = read_maps(tape, z, B);
            pass.entries = read_maps(tape, entries, B);
            pass.reconstruction = read_maps(tape, reconstruction, B);
        }
        leave_l1_gradient(tape, reconstruction, pictures);
        tape.backward(0);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.live_nodes() == 0);
    CHECK(tape.arena().used_bytes() == plan.bytes);
    pass.codebook_loss = (1 + tokenizer.config().beta) * total / static_cast<double>(pass.z.size());
    for (std::size_t i = 0; i < images.size(); ++i)
        pass.l1_loss += std::fabs(static_cast<double>(pass.reconstruction[i]) - images[i] / 255.0) /
                        static_cast<double>(images.size());
    return pass;
}

std::vector<std::int32_t> to_codes(const std::vector<std::int64_t>& integers) {
    return {integers.begin(), integers.end()};
}

std::vector<float> decode_given(const Golden& golden, Backend backend) {
    const std::vector<std::int32_t> codes = to_codes(golden.arrays.integers("decode.code"));
    std::vector<float> image;
    Tape tape(backend);
    const auto job = [&] {
        const Tensor given = tape.create(static_cast<std::int64_t>(codes.size()), 1, false, Element::i32);
        copy_to_tensor(tape, given, codes.data(), codes.size() * 4);
        const Tensor drawn =
            golden.tokenizer.decode(tape, golden.tokenizer.entries(tape, given), {side / f, side / f});
        if (!tape.planning()) image = read_maps(tape, drawn, 2);
    };
    run_job(tape, plan_job(tape, job), job);
    return image;
}

}  // namespace

DEVICE_TEST("golden tokenizer: encoder, codes, losses, reconstruction and every gradient") {
    Golden golden(device);
    const Pass pass = run_pass(golden, device);
    const SafetensorsFile& arrays = golden.arrays;
    CHECK(relative_difference(pass.z, arrays.floats("encoder.output")) < fp32_tolerance);
    CHECK(pass.codes == to_codes(arrays.integers("indices")));
    CHECK(relative_difference(pass.entries, arrays.floats("quantized")) < fp32_tolerance);
    CHECK(pass.codebook_loss == doctest::Approx(arrays.floats("codebook_loss")[0]).epsilon(fp32_tolerance));
    CHECK(relative_difference(pass.reconstruction, arrays.floats("reconstruction")) < fp32_tolerance);
    CHECK(pass.l1_loss == doctest::Approx(arrays.floats("l1_loss")[0]).epsilon(fp32_tolerance));
    for (const Parameter& parameter : golden.tokenizer.parameters().all()) {
        CAPTURE(parameter.name);
        std::vector<float> gradient(static_cast<std::size_t>(parameter.count));
        copy_from_device(device, gradient.data(), parameter.gradient, gradient.size() * sizeof(float));
        CHECK(difference_from(arrays, "train.grad." + parameter.name, gradient) < gradient_tolerance);
    }
}

DEVICE_TEST("golden tokenizer: given codes are decoded") {
    const Golden golden(device);
    CHECK(relative_difference(decode_given(golden, device), golden.arrays.floats("decode.image")) <
          gradient_tolerance);
}

BF16_TEST("golden tokenizer: losses in bf16") {
    Golden golden(backend);
    const Pass pass = run_pass(golden, backend);
    CHECK(pass.codebook_loss == doctest::Approx(golden.arrays.floats("codebook_loss")[0]).epsilon(0.01));
    CHECK(pass.l1_loss == doctest::Approx(golden.arrays.floats("l1_loss")[0]).epsilon(0.01));
}

TEST_CASE("golden tokenizer: the configuration follows from the shapes of the published weights") {
    const GoldenFile weights("vqgan_tiny.pth");
    const PthFile published(weights.path());
    const SafetensorsFile arrays(GoldenFile("vqgan_tiny.safetensors").path());
    const TokenizerConfig config = read_tokenizer_metadata(published).config;
    const auto number = [&](const char* key) { return std::stoll(arrays.metadata(key)); };
    CHECK(config.ch == number("ch"));
    CHECK(config.ch_mult ==
          nlohmann::json::parse(arrays.metadata("ch_mult")).get<std::vector<std::int64_t>>());
    CHECK(config.num_res_blocks == number("num_res_blocks"));
    CHECK(config.z_channels == number("z_channels"));
    CHECK(config.embed_dim == number("embed_dim"));
    CHECK(config.n_embed == number("n_embed"));
    CHECK(config.in_channels == number("in_channels"));
    CHECK(config.out_ch == number("out_ch"));
    CHECK(config.beta == std::stod(arrays.metadata("beta")));
    CHECK(published.names().size() == load_tokenizer(published, Device::cpu)->parameters().all().size());
}
