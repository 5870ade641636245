// Inception-v3 in the form whose features the Frechet inception distance takes: the network of 2015-12-05 with
// 1,008 classes, as TensorFlow released it, under the names of its published PyTorch weights
// (pt_inception-2015-12-05-6726825d.pth). Where it differs from the usual Inception-v3, average pools do not
// count padding and the last block pools by maximum.
//
// Every convolution is followed by batch normalisation with fixed statistics, which is folded into it on
// loading: w' = w g, b' = beta - mean g with g = gamma / sqrt(variance + 0.001), and by ReLU.
//
// Sources: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2015, arXiv
// 1512.00567); Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (2017, arXiv 1706.08500).
#pragma once

#include <functional>
#include <initializer_list>
#include <map>

#include "models/metrics/feature_network.h"
#include "runtime/tensor/parameters.h"

// How pictures become the network's input of 299 x 299: bilinear, without antialiasing.
enum class InceptionInput {
    pytorch_fid,     // half-pixel centres, then x / 127.5 - 1
    torch_fidelity,  // corners, as TensorFlow 1 resizes, then (x - 128) / 128
};
// By its name, pytorch-fid or torch-fidelity; throws UsageError for another.
InceptionInput inception_input(std::string_view name);
std::string_view name_of(InceptionInput input);

class Inception : public FeatureNetwork {
  public:
    static constexpr std::int64_t input_size = 299, features = 2048, logits = 1008;

    // Reads the weights. Throws Error naming the tensor that is missing or does not fit.
    Inception(const TensorFile& file, InceptionInput input, Backend backend);
    // Random weights, for measurements of speed.
    Inception(std::uint64_t seed, InceptionInput input, Backend backend);

    // Convolutions NAME.weight [N, C, kernel_height, kernel_width], normalisation folded in, NAME.bias [N];
    // fc.weight [1008, 2048].
    const Parameters& parameters() const { return parameters_; }

    bool inception() const override { return true; }
    Backend backend() const override { return backend_; }
    std::int64_t channels() const override { return 3; }
    std::int64_t feature_width() const override { return features; }
    std::int64_t classes() const override { return logits; }
    std::uint32_t fingerprint() const override;
    InceptionInput input() const { return input_; }
    void require_fitting(std::int64_t channels, MapSize size, std::string_view source) const override;
    // Features: the mean of Mixed_7c over its positions. Logits: without fc.bias.
    NetworkOutput forward(Tape& tape, const Tensor& pictures, MapSize size) const override;

    // Of fc, which logits leave out. [1008]
    const std::vector<float>& logit_bias() const { return logit_bias_; }
    // For tests: called with each pooled map of the stem and with the output of Mixed_6e.
    using Watch = std::function<void(std::string_view name, const Tensor& map)>;
    NetworkOutput forward(Tape& tape, const Tensor& pictures, MapSize size, const Watch& watch) const;

  private:
    struct Convolution {
        const Parameter *weight, *bias;
        std::int64_t stride;
        MapSize padding;
    };
    struct Map {
        Tensor x;
        MapSize size;
    };

    void register_all();
    void load(const TensorFile& file);
    void add(const std::string& name, std::int64_t in, std::int64_t out, MapSize kernel,
             std::int64_t stride = 1, MapSize padding = {0, 0});
    Map convolve(Tape& tape, const Map& from, const std::string& name) const;
    // One after another.
    Map chain(Tape& tape, Map from, const std::string& block, std::initializer_list<const char*> names) const;
    Map block_a(Tape& tape, const Map& from, const std::string& name) const;
    Map block_b(Tape& tape, const Map& from, const std::string& name) const;
    Map block_c(Tape& tape, const Map& from, const std::string& name) const;
    Map block_d(Tape& tape, const Map& from, const std::string& name) const;
    Map block_e(Tape& tape, const Map& from, const std::string& name, bool pools_by_maximum) const;

    InceptionInput input_;
    Backend backend_;
    Parameters parameters_;
    std::map<std::string, Convolution> convolutions_;
    const Parameter* classifier_ = nullptr;
    std::vector<float> logit_bias_;
};
