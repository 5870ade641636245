#include "models/nat/perceptual.h"

#include <fmt/ranges.h>
#include <algorithm>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/device/profile.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ops/adversarial_ops.h"
#include "runtime/ops/feature_ops.h"
#include "runtime/ops/gradients.h"

namespace {

constexpr std::array<int, vgg_blocks> convolutions_of_block = {2, 2, 3, 3, 3};
constexpr std::int64_t chunk_pixels = std::int64_t{1} << 17;  // that go through the network at once

// LPIPS's scaling of values in [-1, 1].
constexpr std::array<float, PerceptualLoss::channels> shift = {-0.030f, -0.088f, -0.188f},
                                                      deviation = {0.458f, 0.448f, 0.450f};

std::string convolution_name(int module) {
    return fmt::format("features.{}", module);
}
std::string linear_name(std::size_t block) {
    return fmt::format("lin{}.model.1.weight", block);
}

}  // namespace

PerceptualLoss::PerceptualLoss(const VggWidths& widths, Backend backend) : backend_(backend) {
    std::int64_t in = channels;
    int module = 0;  // in torchvision's list: convolution, ReLU; max-pooling behind each block
    for (std::size_t block = 0; block < vgg_blocks; ++block, ++module) {
        const std::int64_t out = widths.of_block[block];
        for (int i = 0; i < convolutions_of_block[block]; ++i, module += 2) {
            const std::string name = convolution_name(module);
            const Parameter& weight = parameters_.add(name + ".weight", {out, in, 3, 3}, Init::fan_in);
            blocks_[block].push_back({&weight, &parameters_.add(name + ".bias", {out}, Init::zeros)});
            in = out;
        }
        linear_[block] = &parameters_.add(linear_name(block), {1, out, 1, 1}, Init::ones);
    }
    parameters_.allocate(backend, false);
    register_scaling();
}

// From [0, 1]: (2 x - 1 - shift) / deviation.
void PerceptualLoss::register_scaling() {
    scaling_ = {&constants_.add("scaling.weight", {channels, channels, 1, 1}, Init::zeros),
                &constants_.add("scaling.bias", {channels}, Init::zeros)};
    constants_.allocate(backend_, false);
    std::vector<float> values(constants_.slab_floats());
    for (std::size_t c = 0; c < channels; ++c) {
        values[scaling_.weight->offset + c * channels + c] = 2 / deviation[c];
        values[scaling_.bias->offset + c] = (-1 - shift[c]) / deviation[c];
    }
    copy_to_device(backend_.device, constants_.values(), values.data(), values.size() * sizeof(float));
    constants_.round_values();
}

std::size_t PerceptualLoss::bytes() const {
    const std::size_t of_a_weight =
        sizeof(float) + (backend_.precision == Precision::bf16 ? sizeof(bf16) : 0);
    return parameters_.slab_floats() * of_a_weight;
}

std::uint32_t PerceptualLoss::fingerprint() const {
    return weights_checksum(parameters_);
}

void PerceptualLoss::require_fitting(std::int64_t picture_channels, MapSize size, std::string_view source) {
    if (picture_channels != channels)
        fail_usage("{}: pictures with {} channels; the perceptual loss takes {}", source, picture_channels,
                   channels);
    if (std::min(size.height, size.width) < smallest_side)
        fail_usage("{}: pictures of {} x {} pixels; the perceptual loss needs at least {} x {}", source,
                   size.width, size.height, smallest_side, smallest_side);
}

template <class Use>
void PerceptualLoss::for_features(Tape& tape, const Tensor& pictures, MapSize size, Use use) const {
    Tensor x = frozen_conv2d(tape, pictures, size, *scaling_.weight, scaling_.bias, 1, 0);
    for (std::size_t block = 0; block < vgg_blocks; ++block) {
        if (block > 0) {
            x = max_pool(tape, x, size);
            size = {size.height / 2, size.width / 2};
        }
        for (const Convolution& layer : blocks_[block])
            x = leaky_relu(tape, frozen_conv2d(tape, x, size, *layer.weight, layer.bias, 1, 1), 0);
        use(block, x, size);
    }
}

void PerceptualLoss::add(Tape& tape, const Tensor& pictures, const Tensor& targets, MapSize size, float scale,
                         const Tensor& total) const {
    const ProfileRange range("perceptual loss");
    const bool recording = tape.recording();
    const std::int64_t positions = size.height * size.width,
                       chunk = std::max(chunk_pixels / positions, std::int64_t{1}) * positions;
    const Tensor judged = detached(tape, pictures, true);
    run_in_chunks(tape, judged, chunk, [&](std::int64_t begin, std::int64_t count, const Tensor& part) {
        std::array<Tensor, vgg_blocks> wanted;
        tape.set_recording(false);
        for_features(tape, tape.slice(targets, begin, count), size,
                     [&](std::size_t block, const Tensor& features, MapSize) { wanted[block] = features; });
        tape.set_recording(recording);
        for_features(tape, part, size, [&](std::size_t block, const Tensor& features, MapSize map) {
            feature_distance(tape, features, std::exchange(wanted[block], Tensor()), *linear_[block],
                             1.0 / static_cast<double>(map.height * map.width), scale, total);
        });
    });
    if (recording) pass_gradient(tape, pictures.node(), judged.node());
}

namespace {

using Files = std::vector<std::unique_ptr<TensorFile>>;

// The file that holds the tensor.
const TensorFile& holder(const Files& files, const std::string& name, std::string_view origin) {
    for (const auto& file : files)
        if (file->contains(name)) return *file;
    std::string paths = files.front()->path().string();
    if (files.size() > 1) paths += " and " + files.back()->path().string();
    fail("{}: no tensor {}; expected {}", paths, name, origin);
}

VggWidths widths_of(const Files& files) {
    VggWidths widths;
    int module = 0;
    for (std::size_t block = 0; block < vgg_blocks; ++block) {
        const std::string name = convolution_name(module) + ".weight";
        const TensorFile& file = holder(files, name, "the weights of torchvision's vgg16");
        const std::vector<std::int64_t>& shape = file.shape(name);
        if (shape.size() != 4 || shape[0] < 1)
            fail("{}: tensor {} has shape [{}], expected [N, C, 3, 3]", file.path().string(), name,
                 fmt::join(shape, ", "));
        widths.of_block[block] = shape[0];
        module += 2 * convolutions_of_block[block] + 1;
    }
    return widths;
}

// A negative weight would reward differences.
void require_positive(const TensorFile& file, const Parameter& parameter) {
    std::vector<float> values(static_cast<std::size_t>(parameter.count));
    file.read(parameter.name, values.data());
    for (const float value : values)
        if (!(value >= 0))
            fail("{}: tensor {} holds {}, expected weights of at least 0", file.path().string(),
                 parameter.name, value);
}

}  // namespace

std::unique_ptr<PerceptualLoss> load_perceptual_loss(std::span<const std::string> paths, Backend backend) {
    if (paths.empty() || paths.size() > 2)
        fail_usage("--perceptual: {} files, expected one or two: VGG16's weights, and LPIPS's", paths.size());
    Files files;
    for (const std::string& path : paths) {
        files.push_back(open_tensor_file(path));
        if (model_kind(*files.back()) != lpips_kind) require_kind(*files.back(), vgg_kind);
    }
    auto loss = std::make_unique<PerceptualLoss>(widths_of(files), backend);
    Parameters& parameters = loss->parameters();
    for (const Parameter& parameter : parameters.all()) {
        const bool linear = parameter.name.starts_with("lin");
        const TensorFile& file = holder(files, parameter.name,
                                        linear ? "LPIPS's linear weights for VGG16 (vgg.pth), in a file of "
                                                 "their own after a comma"
                                               : "the weights of torchvision's vgg16");
        load_parameter(file, parameter, "", parameters.values(), backend.device);
        if (linear) require_positive(file, parameter);
    }
    parameters.round_values();
    return loss;
}
