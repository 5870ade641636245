// Inception-v3 against the reference implementations, in both conventions of its input. The bf16 features of the
// GPU differ from them by their rounding.
#include "models/metrics/inception.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "runtime/ops/ops.h"
#include "tests/end_to_end/command.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/hashed_inception.h"
#include "tests/golden/relative_difference.h"
#include "tests/skip.h"
#include "tests/test_devices.h"

namespace {

constexpr double fp32_tolerance = 1e-5, bf16_tolerance = 1e-2;

struct Golden {
    SafetensorsFile arrays;
    Inception network;

    Golden(const std::string& file, InceptionInput input, Backend backend)
        : arrays(GoldenFile(file).path()), network(HashedInception(arrays), input, backend) {}

    std::vector<float> features_of(const std::string& pictures) const {
        const std::vector<std::int64_t>& shape = arrays.shape(pictures);
        FeatureExtractor extractor(network, 2, shape[1], {shape[2], shape[3]}, "pictures");
        extractor.add(arrays.bytes_u8(pictures));
        return extractor.features().values;
    }
};

std::vector<float> read_values(Tape& tape, const Tensor& tensor) {
    const Tensor values = to_f32(tape, tensor);
    std::vector<float> read(static_cast<std::size_t>(values.rows() * values.width()));
    copy_from_tensor(tape, read.data(), values, read.size() * sizeof(float));
    return read;
}

// Row 150 of pictures [B, 299 * 299, 3] as [B, 3, 299].
std::vector<float> resized_row(std::span<const float> input, std::int64_t B) {
    constexpr std::int64_t side = Inception::input_size;
    std::vector<float> row;
    for (std::int64_t b = 0; b < B; ++b)
        for (std::int64_t c = 0; c < 3; ++c)
            for (std::int64_t j = 0; j < side; ++j)
                row.push_back(input[static_cast<std::size_t>(((b * side + 150) * side + j) * 3 + c)]);
    return row;
}

std::vector<float> mean_of_positions(std::span<const float> map, std::int64_t B, std::int64_t C) {
    std::vector<float> mean(static_cast<std::size_t>(B * C));
    const std::size_t positions = map.size() / mean.size();
    for (std::size_t b = 0; b < static_cast<std::size_t>(B); ++b)
        for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) {
            double sum = 0;
            for (std::size_t p = 0; p < positions; ++p)
                sum += map[(b * positions + p) * static_cast<std::size_t>(C) + c];
            mean[b * static_cast<std::size_t>(C) + c] =
                static_cast<float>(sum / static_cast<double>(positions));
        }
    return mean;
}

void check_convention(const std::string& file, InceptionInput input, Device device) {
    const Golden golden(file, input, {device});
    const std::vector<std::int64_t>& shape = golden.arrays.shape("images_u8");
    const std::int64_t B = shape[0];
    const auto expected = [&](const std::string& name) { return golden.arrays.floats(name); };
    const auto job = [&](Tape& tape, bool checks) {
        const Tensor pictures = tape.create(B, shape[1] * shape[2] * shape[3], false, Element::u8);
        copy_to_tensor(tape, pictures, golden.arrays.bytes_u8("images_u8").data(),
                       golden.arrays.bytes_u8("images_u8").size());
        const NetworkOutput output = golden.network.forward(
            tape, pictures, {shape[2], shape[3]}, [&](std::string_view name, const Tensor& map) {
                const std::vector<float> values = read_values(tape, map);
                if (!checks) return;
                if (name == "input") {
                    std::vector<float> row = resized_row(values, B);
                    const bool halves = input == InceptionInput::pytorch_fid;
                    for (float& value : row) value = halves ? (value + 1) / 2 : (value + 1) * 128;
                    CHECK(relative_difference(row, expected("resized_row")) < fp32_tolerance);
                    return;
                }
                const std::string key = std::string(name) + (golden.arrays.contains(name) ? "" : ".mean");
                CAPTURE(key);
                CHECK(relative_difference(mean_of_positions(values, B, map.width()), expected(key)) <
                      fp32_tolerance);
            });
        const std::vector<float> features = read_values(tape, output.features);
        std::vector<float> logits = read_values(tape, output.logits);
        if (!checks) return;
        CHECK(relative_difference(features, expected("pool3")) < fp32_tolerance);
        if (golden.arrays.contains("logits_unbiased"))
            CHECK(relative_difference(logits, expected("logits_unbiased")) < fp32_tolerance);
        for (std::size_t i = 0; i < logits.size(); ++i)
            logits[i] += golden.network.logit_bias()[i % golden.network.logit_bias().size()];
        CHECK(relative_difference(logits, expected("logits")) < fp32_tolerance);
    };
    Tape tape(golden.network.backend());
    const Plan plan = plan_job(tape, [&] { job(tape, false); });
    run_job(tape, plan, [&] { job(tape, true); });
}

}  // namespace

DEVICE_TEST("golden: Inception-v3, pytorch-fid") {
    check_convention("inception_hashed.safetensors", InceptionInput::pytorch_fid, device);
}

DEVICE_TEST("golden: Inception-v3, torch-fidelity") {
    check_convention("inception_torch_fidelity.safetensors", InceptionInput::torch_fidelity, device);
}

DEVICE_TEST("golden: features of a picture that is not square and is made smaller") {
    const Golden golden("inception_torch_fidelity.safetensors", InceptionInput::torch_fidelity, {device});
    CHECK(relative_difference(golden.features_of("big_u8"), golden.arrays.floats("big.pool3")) <
          fp32_tolerance);
}

TEST_CASE("golden: no convolution of Inception-v3 falls back to oneDNN's reference implementation") {
    const std::string tests = std::filesystem::read_symlink("/proc/self/exe");
    const Outcome outcome = Command("/usr/bin/env", {"-u", "TEST_DEVICES", "DNNL_VERBOSE=1", tests,
                                                     "-tc=golden: Inception-v3*pytorch-fid"})
                                .finish();
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.output.find("convolution,") != std::string::npos);
    CHECK(outcome.output.find("convolution,ref") == std::string::npos);
}

CUDA_TEST("golden: Inception-v3 in bf16 differs from fp32 by its rounding") {
    const Golden golden("inception_hashed.safetensors", InceptionInput::pytorch_fid,
                        {Device::cuda, Precision::bf16});
    CHECK(relative_difference(golden.features_of("images_u8"), golden.arrays.floats("pool3")) <
          bf16_tolerance);
}
