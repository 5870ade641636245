#include "models/nat/discriminator.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "runtime/base/error.h"
#include "runtime/ops/adversarial_ops.h"
#include "runtime/ops/feature_ops.h"

namespace {

constexpr std::int64_t kernel = 4, padding = 1, most_filters = 8, most_groups = 32;
constexpr float epsilon = 1e-6f, slope = 0.2f;

}  // namespace

Discriminator::Discriminator(DiscriminatorConfig config, Backend backend)
    : config_(config), backend_(backend) {
    if (config.channels < 1 || config.filters < 1 || config.layers < 1)
        fail_usage("discriminator: {} channels, {} filters and {} layers; expected at least 1 of each",
                   config.channels, config.filters, config.layers);
    const auto filters = [&](std::int64_t layer) {
        return config.filters * (layer < 3 ? std::int64_t{1} << layer : most_filters);
    };
    int number = 0;  // in the original's list of modules: convolution, norm if there is one, leaky ReLU
    add_layer(number, config.channels, filters(0), 2, true, false);
    number += 2;
    for (std::int64_t layer = 1; layer <= config.layers; ++layer, number += 3)
        add_layer(number, filters(layer - 1), filters(layer), layer < config.layers ? 2 : 1, false, true);
    add_layer(number, filters(config.layers), 1, 1, true, false);
}

void Discriminator::add_layer(int number, std::int64_t in, std::int64_t out, std::int64_t stride, bool biased,
                              bool normed) {
    const auto name = [](int module, const char* what) {
        return "loss.discriminator.main." + std::to_string(module) + "." + what;
    };
    Layer layer{};
    layer.stride = stride;
    layer.weight = &parameters_.add(name(number, "weight"), {out, in, kernel, kernel}, Init::normal);
    if (biased) layer.bias = &parameters_.add(name(number, "bias"), {out}, Init::zeros);
    if (normed) {
        layer.norm_weight = &parameters_.add(name(number + 1, "weight"), {out}, Init::ones);
        layer.norm_bias = &parameters_.add(name(number + 1, "bias"), {out}, Init::zeros);
    }
    layers_.push_back(layer);
}

MapSize Discriminator::logits_size(MapSize picture) const {
    MapSize size = picture;
    for (const Layer& layer : layers_) {
        if (std::min(size.height, size.width) + 2 * padding < kernel)
            fail_usage("discriminator: a picture of {} x {} is too small for {} layers; expected fewer",
                       picture.height, picture.width, config_.layers);
        size = convolved(size, kernel, layer.stride, padding);
    }
    return size;
}

Tensor Discriminator::forward(Tape& tape, const Tensor& pictures, MapSize size) const {
    Tensor x = pictures;
    for (const Layer& layer : layers_) {
        x = conv2d(tape, x, size, *layer.weight, layer.bias, layer.stride, padding);
        size = convolved(size, kernel, layer.stride, padding);
        if (layer.norm_weight != nullptr)
            x = groupnorm(tape, x, size.height * size.width, *layer.norm_weight, *layer.norm_bias,
                          std::gcd(x.width(), most_groups), epsilon, Activation::leaky_relu);
        else if (&layer != &layers_.back())
            x = leaky_relu(tape, x, slope);
    }
    return x;
}
