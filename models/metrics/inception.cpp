#include "models/metrics/inception.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/device/profile.h"
#include "runtime/ops/feature_ops.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"

namespace {

constexpr double epsilon = 0.001;  // of batch normalisation

// Channels inside the blocks 6b to 6e, and of the pooled branch of 5b to 5d.
struct BlockC {
    const char* name;
    std::int64_t inner;
};
constexpr BlockC blocks_c[] = {{"Mixed_6b", 128}, {"Mixed_6c", 160}, {"Mixed_6d", 160}, {"Mixed_6e", 192}};
struct BlockA {
    const char* name;
    std::int64_t in, pooled;
};
constexpr BlockA blocks_a[] = {{"Mixed_5b", 192, 32}, {"Mixed_5c", 256, 64}, {"Mixed_5d", 288, 64}};

}  // namespace

InceptionInput inception_input(std::string_view name) {
    for (const InceptionInput input : {InceptionInput::pytorch_fid, InceptionInput::torch_fidelity})
        if (name == name_of(input)) return input;
    fail_usage("--convention {}: expected pytorch-fid or torch-fidelity", name);
}

std::string_view name_of(InceptionInput input) {
    return input == InceptionInput::pytorch_fid ? "pytorch-fid" : "torch-fidelity";
}

// ---- weights ----------------------------------------------------------------------------------------------

Inception::Inception(const TensorFile& file, InceptionInput input, Backend backend)
    : input_(input), backend_(backend) {
    require_kind(file, inception_kind);
    register_all();
    parameters_.allocate(backend, false);
    load(file);
    parameters_.round_values();
}

Inception::Inception(std::uint64_t seed, InceptionInput input, Backend backend)
    : input_(input), backend_(backend), logit_bias_(logits) {
    register_all();
    parameters_.allocate(backend, false);
    parameters_.initialize(seed);
    parameters_.round_values();
}

void Inception::add(const std::string& name, std::int64_t in, std::int64_t out, MapSize kernel,
                    std::int64_t stride, MapSize padding) {
    const Parameter& weight =
        parameters_.add(name + ".weight", {out, in, kernel.height, kernel.width}, Init::fan_in);
    convolutions_[name] = {&weight, &parameters_.add(name + ".bias", {out}, Init::zeros), stride, padding};
}

void Inception::register_all() {
    constexpr MapSize one{1, 1}, three{3, 3}, five{5, 5}, row{1, 7}, column{7, 1}, inside_row{0, 3},
        inside_column{3, 0};
    add("Conv2d_1a_3x3", 3, 32, three, 2);
    add("Conv2d_2a_3x3", 32, 32, three);
    add("Conv2d_2b_3x3", 32, 64, three, 1, one);
    add("Conv2d_3b_1x1", 64, 80, one);
    add("Conv2d_4a_3x3", 80, 192, three);
    for (const auto& [name, in, pooled] : blocks_a) {
        const std::string block = std::string(name) + ".";
        add(block + "branch1x1", in, 64, one);
        add(block + "branch5x5_1", in, 48, one);
        add(block + "branch5x5_2", 48, 64, five, 1, {2, 2});
        add(block + "branch3x3dbl_1", in, 64, one);
        add(block + "branch3x3dbl_2", 64, 96, three, 1, one);
        add(block + "branch3x3dbl_3", 96, 96, three, 1, one);
        add(block + "branch_pool", in, pooled, one);
    }
    add("Mixed_6a.branch3x3", 288, 384, three, 2);
    add("Mixed_6a.branch3x3dbl_1", 288, 64, one);
    add("Mixed_6a.branch3x3dbl_2", 64, 96, three, 1, one);
    add("Mixed_6a.branch3x3dbl_3", 96, 96, three, 2);
    for (const auto& [name, inner] : blocks_c) {
        const std::string block = std::string(name) + ".";
        add(block + "branch1x1", 768, 192, one);
        add(block + "branch7x7_1", 768, inner, one);
        add(block + "branch7x7_2", inner, inner, row, 1, inside_row);
        add(block + "branch7x7_3", inner, 192, column, 1, inside_column);
        add(block + "branch7x7dbl_1", 768, inner, one);
        add(block + "branch7x7dbl_2", inner, inner, column, 1, inside_column);
        add(block + "branch7x7dbl_3", inner, inner, row, 1, inside_row);
        add(block + "branch7x7dbl_4", inner, inner, column, 1, inside_column);
        add(block + "branch7x7dbl_5", inner, 192, row, 1, inside_row);
        add(block + "branch_pool", 768, 192, one);
    }
    add("Mixed_7a.branch3x3_1", 768, 192, one);
    add("Mixed_7a.branch3x3_2", 192, 320, three, 2);
    add("Mixed_7a.branch7x7x3_1", 768, 192, one);
    add("Mixed_7a.branch7x7x3_2", 192, 192, row, 1, inside_row);
    add("Mixed_7a.branch7x7x3_3", 192, 192, column, 1, inside_column);
    add("Mixed_7a.branch7x7x3_4", 192, 192, three, 2);
    for (const auto& [block, in] : {std::pair("Mixed_7b.", 1280), std::pair("Mixed_7c.", 2048)}) {
        const std::string name = block;
        add(name + "branch1x1", in, 320, one);
        add(name + "branch3x3_1", in, 384, one);
        add(name + "branch3x3_2a", 384, 384, {1, 3}, 1, {0, 1});
        add(name + "branch3x3_2b", 384, 384, {3, 1}, 1, {1, 0});
        add(name + "branch3x3dbl_1", in, 448, one);
        add(name + "branch3x3dbl_2", 448, 384, three, 1, one);
        add(name + "branch3x3dbl_3a", 384, 384, {1, 3}, 1, {0, 1});
        add(name + "branch3x3dbl_3b", 384, 384, {3, 1}, 1, {1, 0});
        add(name + "branch_pool", in, 192, one);
    }
    classifier_ = &parameters_.add("fc.weight", {logits, features}, Init::fan_in);
}

void Inception::load(const TensorFile& file) {
    std::vector<float> slab(parameters_.slab_floats());
    // The tensor `name` of a shape, checked.
    const auto read = [&](const std::string& name, std::vector<std::int64_t> shape) {
        Parameter parameter;
        parameter.name = name, parameter.shape = std::move(shape), parameter.count = 1;
        for (const std::int64_t side : parameter.shape) parameter.count *= side;
        std::vector<float> values(static_cast<std::size_t>(parameter.count));
        load_parameter(file, parameter, "", values.data(), Device::cpu);
        return values;
    };
    for (const auto& [name, convolution] : convolutions_) {
        const std::vector<std::int64_t>& shape = convolution.weight->shape;
        const std::vector<float> weight = read(name + ".conv.weight", shape),
                                 gamma = read(name + ".bn.weight", {shape[0]}),
                                 beta = read(name + ".bn.bias", {shape[0]}),
                                 mean = read(name + ".bn.running_mean", {shape[0]}),
                                 variance = read(name + ".bn.running_var", {shape[0]});
        const std::size_t inner = weight.size() / gamma.size();
        for (std::size_t n = 0; n < gamma.size(); ++n) {
            if (!(variance[n] >= 0))
                fail("{}: tensor {}.bn.running_var holds {}, expected variances of at least 0",
                     file.path().string(), name, variance[n]);
            const double factor = static_cast<double>(gamma[n]) / std::sqrt(variance[n] + epsilon);
            for (std::size_t i = n * inner; i < (n + 1) * inner; ++i)
                slab[convolution.weight->offset + i] = static_cast<float>(weight[i] * factor);
            slab[convolution.bias->offset + n] = static_cast<float>(beta[n] - mean[n] * factor);
        }
    }
    const std::vector<float> classifier = read("fc.weight", classifier_->shape);
    std::ranges::copy(classifier, slab.begin() + static_cast<std::ptrdiff_t>(classifier_->offset));
    logit_bias_ = read("fc.bias", {logits});
    copy_to_device(backend_.device, parameters_.values(), slab.data(), slab.size() * sizeof(float));
}

std::uint32_t Inception::fingerprint() const {
    return weights_checksum(parameters_);
}

void Inception::require_fitting(std::int64_t channels, MapSize, std::string_view source) const {
    if (channels != 3) fail_usage("{}: pictures with {} channels; Inception-v3 takes 3", source, channels);
}

// ---- the network ------------------------------------------------------------------------------------------

Inception::Map Inception::convolve(Tape& tape, const Map& from, const std::string& name) const {
    const Convolution& c = convolutions_.at(name);
    const MapSize kernel{c.weight->shape[2], c.weight->shape[3]};
    return {rectified_conv2d(tape, from.x, from.size, *c.weight, c.bias, c.stride, c.padding),
            convolved(from.size, kernel, c.stride, c.padding)};
}

Inception::Map Inception::chain(Tape& tape, Map from, const std::string& block,
                                std::initializer_list<const char*> names) const {
    for (const char* name : names) from = convolve(tape, from, block + name);
    return from;
}

namespace {

// Side by side, maps of one size.
template <class Map>
Map beside(Tape& tape, const std::vector<Map>& branches) {
    std::vector<Tensor> maps;
    for (const Map& branch : branches) maps.push_back(branch.x);
    return {concatenate_channels(tape, maps), branches.front().size};
}

// 3 x 3, of the map's own size.
template <class Map>
Map mean_around(Tape& tape, const Map& from) {
    return {window_mean(tape, from.x, from.size, 3, 1, 1), from.size};
}
template <class Map>
Map max_around(Tape& tape, const Map& from) {
    return {window_max(tape, from.x, from.size, 3, 1, 1), from.size};
}
template <class Map>
Map max_halved(Tape& tape, const Map& from) {
    return {window_max(tape, from.x, from.size, 3, 2, 0), convolved(from.size, 3, 2, 0)};
}

}  // namespace

Inception::Map Inception::block_a(Tape& tape, const Map& from, const std::string& name) const {
    const std::string block = name + ".";
    return beside<Map>(
        tape,
        {chain(tape, from, block, {"branch1x1"}), chain(tape, from, block, {"branch5x5_1", "branch5x5_2"}),
         chain(tape, from, block, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}),
         chain(tape, mean_around(tape, from), block, {"branch_pool"})});
}

Inception::Map Inception::block_b(Tape& tape, const Map& from, const std::string& name) const {
    const std::string block = name + ".";
    return beside<Map>(tape,
                       {chain(tape, from, block, {"branch3x3"}),
                        chain(tape, from, block, {"branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"}),
                        max_halved(tape, from)});
}

Inception::Map Inception::block_c(Tape& tape, const Map& from, const std::string& name) const {
    const std::string block = name + ".";
    return beside<Map>(
        tape,
        {chain(tape, from, block, {"branch1x1"}),
         chain(tape, from, block, {"branch7x7_1", "branch7x7_2", "branch7x7_3"}),
         chain(tape, from, block,
               {"branch7x7dbl_1", "branch7x7dbl_2", "branch7x7dbl_3", "branch7x7dbl_4", "branch7x7dbl_5"}),
         chain(tape, mean_around(tape, from), block, {"branch_pool"})});
}

Inception::Map Inception::block_d(Tape& tape, const Map& from, const std::string& name) const {
    const std::string block = name + ".";
    return beside<Map>(
        tape, {chain(tape, from, block, {"branch3x3_1", "branch3x3_2"}),
               chain(tape, from, block, {"branch7x7x3_1", "branch7x7x3_2", "branch7x7x3_3", "branch7x7x3_4"}),
               max_halved(tape, from)});
}

Inception::Map Inception::block_e(Tape& tape, const Map& from, const std::string& name,
                                  bool pools_by_maximum) const {
    const std::string block = name + ".";
    const Map plain = chain(tape, from, block, {"branch1x1"}),
              single = chain(tape, from, block, {"branch3x3_1"}),
              twice = chain(tape, from, block, {"branch3x3dbl_1", "branch3x3dbl_2"});
    return beside<Map>(
        tape,
        {plain, chain(tape, single, block, {"branch3x3_2a"}), chain(tape, single, block, {"branch3x3_2b"}),
         chain(tape, twice, block, {"branch3x3dbl_3a"}), chain(tape, twice, block, {"branch3x3dbl_3b"}),
         chain(tape, pools_by_maximum ? max_around(tape, from) : mean_around(tape, from), block,
               {"branch_pool"})});
}

NetworkOutput Inception::forward(Tape& tape, const Tensor& pictures, MapSize size) const {
    return forward(tape, pictures, size, [](std::string_view, const Tensor&) {});
}

NetworkOutput Inception::forward(Tape& tape, const Tensor& pictures, MapSize size, const Watch& watch) const {
    const ProfileRange range("Inception-v3");
    constexpr MapSize input_map{input_size, input_size};
    const bool half_pixel = input_ == InceptionInput::pytorch_fid;
    Map map{bilinear_resize(tape, pictures, size, input_map,
                            half_pixel ? PixelCentres::half_pixel : PixelCentres::corner,
                            half_pixel ? 1 / 127.5f : 1 / 128.0f, -1),
            input_map};
    watch("input", map.x);
    map = chain(tape, std::move(map), "", {"Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"});
    map = max_halved(tape, map);
    watch("block0", map.x);
    map = chain(tape, std::move(map), "", {"Conv2d_3b_1x1", "Conv2d_4a_3x3"});
    map = max_halved(tape, map);
    watch("block1", map.x);
    for (const BlockA& block : blocks_a) map = block_a(tape, map, block.name);
    map = block_b(tape, map, "Mixed_6a");
    for (const BlockC& block : blocks_c) map = block_c(tape, map, block.name);
    watch("block2", map.x);
    map = block_d(tape, map, "Mixed_7a");
    map = block_e(tape, map, "Mixed_7b", false);
    map = block_e(tape, map, "Mixed_7c", true);
    const Tensor pooled = position_mean(tape, map.x, map.size.height * map.size.width);
    return {pooled, linear(tape, pooled, *classifier_, nullptr)};
}
