#include "models/fractal/fractal.h"
#include "runtime/image_ops.h"

#include <algorithm>

FractalModel::FractalModel(FractalConfig config, Device device) : config_(std::move(config)) {
    class_table_ = &parameters_.add("fake_latent", {1, config_.embed_dim_list[0]}, Init::normal);
    if (config_.class_num > 0)
        parameters_.add("class_emb.weight", {config_.class_num, config_.embed_dim_list[0]}, Init::normal,
                        true);
    std::string prefix;
    for (std::size_t level = 0; level < config_.generators(); ++level) {
        levels_.emplace_back(parameters_, prefix + "generator", config_, level, device);
        prefix += "next_fractal.";
    }
    prefix.pop_back();
    const std::size_t last = config_.generators();
    pixel_level_ = std::make_unique<PixelLevel>(parameters_, prefix, config_.channels,
                                                config_.condition_width(last), config_.embed_dim_list[last],
                                                config_.num_blocks_list[last], config_.num_heads_list[last]);
}

ChunkSizes FractalModel::default_chunks() const {
    constexpr std::int64_t tokens = 2048;
    ChunkSizes chunks;
    for (std::size_t level = 0; level < config_.generators(); ++level)
        chunks.push_back(std::max<std::int64_t>(1, tokens / config_.tokens(level)));
    chunks.push_back(tokens / config_.channels);
    return chunks;
}

Tensor FractalModel::class_condition(Tape& tape, const Tensor& ids) const {
    return embedding(tape, ids, *class_table_, 1 + config_.class_num);
}

struct FractalModel::Pass {
    Tape& tape;
    std::span<const float> scales;
    const Tensor& totals;
    const PassRule& rule;
    const ChunkSizes& chunks;
};

void FractalModel::loss(Tape& tape, const Tensor& images, const Tensor& ids, const Tensor& paths,
                        std::span<const float> scales, const Tensor& totals, const PassRule& rule,
                        const ChunkSizes& chunks) const {
    const Pass pass{tape, scales, totals, rule, chunks};
    const std::size_t mark = tape.mark();
    const Tensor condition = class_condition(tape, ids);
    run_in_chunks(
        tape, condition, chunks[0], [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
            level_loss(pass, 0, tape.slice(images, begin, count), chunk, tape.slice(paths, begin, count));
        });
    if (tape.recording()) tape.backward(mark);
}

void FractalModel::level_loss(const Pass& pass, std::size_t level, const Tensor& images,
                              const Tensor& condition, const Tensor& paths) const {
    Tape& tape = pass.tape;
    if (level == levels_.size()) {
        const Tensor values = pixel_values(tape, images, config_.pixel_mean(), config_.pixel_deviation());
        pixel_level_->loss(tape, condition, values, pass.scales, pass.totals);
        return;
    }
    const Tensor patches =
        patchify(tape, images, config_.channels, config_.img_size_list[level], config_.patch_size(level));
    const Tensor conditions = levels_[level].forward(tape, patches, condition, paths, pass.rule);
    const Tensor patch_paths = child_paths(tape, paths, config_.tokens(level));
    run_in_chunks(tape, conditions, pass.chunks[level + 1],
                  [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
                      level_loss(pass, level + 1, tape.slice(patches, begin, count), chunk,
                                 tape.slice(patch_paths, begin, count));
                  });
}

std::vector<float> channel_scales(std::int64_t channels, double red_weight, double pixels) {
    if (channels == 1) return {static_cast<float>(1 / pixels)};
    const double sum = (red_weight + static_cast<double>(channels - 1)) * pixels;
    std::vector<float> scales(static_cast<std::size_t>(channels), static_cast<float>(1 / sum));
    scales[0] = static_cast<float>(red_weight / sum);
    return scales;
}
