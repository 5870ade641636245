#include "models/fractal/fractal.h"

#include <algorithm>
#include <string>

#include "models/fractal/image_values.h"
#include "runtime/device/profile.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/row_ops.h"
#include "runtime/tensor/random.h"

namespace {

// Masks of a chunk of M sequences of L patches: the mask [M, L], the indices of the selected patches, and
// each patch's row among them (-1: not selected) [M, L].
struct ChunkMask {
    Tensor mask, selected, rows;
};

ChunkMask chunk_mask(Tape& tape, const FractalMasks& masks, std::size_t level, std::int64_t first,
                     std::int64_t M, std::int64_t L) {
    if (tape.planning())
        return {tape.create(M, L, false, Element::u8), tape.create(M * L, 1, false, Element::i32),
                tape.create(M, L, false, Element::i32)};
    const LevelMasks& all = masks.level(level);
    const auto begin = all.starts[static_cast<std::size_t>(first)],
               end = all.starts[static_cast<std::size_t>(first + M)];
    std::vector<std::int32_t> selected(all.selected.begin() + begin, all.selected.begin() + end);
    std::vector<std::int32_t> rows(static_cast<std::size_t>(M * L), -1);
    for (std::size_t k = 0; k < selected.size(); ++k) {
        selected[k] -= static_cast<std::int32_t>(first * L);
        rows[static_cast<std::size_t>(selected[k])] = static_cast<std::int32_t>(k);
    }
    const ChunkMask chunk{tape.create(M, L, false, Element::u8),
                          tape.create(end - begin, 1, false, Element::i32),
                          tape.create(M, L, false, Element::i32)};
    copy_to_tensor(tape, chunk.mask, all.mask.data() + first * L, static_cast<std::size_t>(M * L));
    copy_to_tensor(tape, chunk.selected, selected.data(), selected.size() * sizeof(std::int32_t));
    copy_to_tensor(tape, chunk.rows, rows.data(), rows.size() * sizeof(std::int32_t));
    return chunk;
}

}  // namespace

FractalModel::FractalModel(FractalConfig config, Backend backend)
    : config_(std::move(config)), backend_(backend) {
    class_table_ = &parameters_.add("fake_latent", {1, config_.embed_dim_list[0]}, Init::normal);
    if (config_.class_num > 0)
        parameters_.add("class_emb.weight", {config_.class_num, config_.embed_dim_list[0]}, Init::normal,
                        true);
    std::string prefix;
    for (std::size_t level = 0; level < config_.generators(); ++level) {
        level_begins_.push_back(parameters_.slab_floats());
        if (config_.is_mar(level))
            levels_.emplace_back(std::in_place_type<MarLevel>, parameters_, prefix + "generator", config_,
                                 level);
        else
            levels_.emplace_back(std::in_place_type<ArLevel>, parameters_, prefix + "generator", config_,
                                 level, backend.device);
        prefix += "next_fractal.";
    }
    prefix.pop_back();
    level_begins_.push_back(parameters_.slab_floats());
    const std::size_t last = config_.generators();
    pixel_level_ = std::make_unique<PixelLevel>(parameters_, prefix, config_, config_.condition_width(last),
                                                config_.embed_dim_list[last], config_.num_blocks_list[last],
                                                config_.num_heads_list[last]);
}

ChunkSizes FractalModel::chunks_of(std::int64_t tokens) const {
    ChunkSizes chunks;
    for (std::size_t level = 0; level < config_.generators(); ++level)
        chunks.push_back(std::max<std::int64_t>(1, tokens / config_.tokens(level)));
    // Rounded up: the pixels of the level outside are as many as its tokens, and a third of them less a
    // fraction would leave one or two for a chunk of their own.
    chunks.push_back((tokens + config_.channels - 1) / config_.channels);
    return chunks;
}

ChunkSizes FractalModel::default_chunks() const {
    return chunks_of(tokens_at_once(backend_));
}

Tensor FractalModel::class_condition(Tape& tape, std::span<const std::int32_t> ids) const {
    const auto rows = static_cast<std::int64_t>(ids.size()), n = config_.conditions(0);
    std::vector<std::int32_t> repeated;
    for (const std::int32_t id : ids) repeated.insert(repeated.end(), static_cast<std::size_t>(n), id);
    const Tensor table_rows = tape.create(rows, n, false, Element::i32);
    copy_to_tensor(tape, table_rows, repeated.data(), repeated.size() * sizeof(std::int32_t));
    return embedding(tape, table_rows, *class_table_, 1 + config_.class_num);
}

struct FractalModel::Pass {
    Tape& tape;
    const FractalMasks& masks;
    std::span<const float> scales;
    const Tensor& totals;
    const PassRule& rule;
    const ChunkSizes& chunks;
    GradientReadyListener* listener;  // null: no listener, or more chunks follow at this or an outer level
    std::vector<std::int64_t> done;   // sequences of each level so far; chunks follow the batch's order
    const std::function<void(double share)>& progress;  // may be empty
    std::vector<double> chunk_begins, chunk_shares;     // of the chunk under way in each level

    // The listener for the chunk that ends at row `end` of `rows`: only the last chunk makes gradients final.
    static GradientReadyListener* listener_for(GradientReadyListener* outer, std::int64_t end,
                                               std::int64_t rows) {
        return end == rows ? outer : nullptr;
    }

    // A chunk of `count` sequences begins, before which `begin` of the `rows` in the chunk outside are done.
    void begin_chunk(std::size_t level, std::int64_t begin, std::int64_t count, std::int64_t rows) {
        if (!progress || tape.planning()) return;
        chunk_begins.resize(level);
        chunk_shares.resize(level);
        chunk_begins.push_back(static_cast<double>(begin) / static_cast<double>(rows));
        chunk_shares.push_back(static_cast<double>(count) / static_cast<double>(rows));
        double share = 0;
        for (std::size_t i = level + 1; i-- > 0;) share = chunk_begins[i] + chunk_shares[i] * share;
        progress(share);
    }

    // Ids of the next `count` sequences of a level.
    Tensor sequence_ids(std::size_t level, std::int64_t count) const {
        const Tensor tensor = tape.create(count, 1, false, Element::i64);
        if (!tape.planning())
            copy_to_tensor(tape, tensor, masks.level(level).sequence_ids.data() + done[level],
                           static_cast<std::size_t>(count) * sizeof(std::int64_t));
        return tensor;
    }
};

void FractalModel::loss(Tape& tape, const Tensor& images, std::span<const std::int32_t> ids,
                        const FractalMasks& masks, std::span<const float> scales, const Tensor& totals,
                        const PassRule& rule, const ChunkSizes& chunks, GradientReadyListener* listener,
                        const std::function<void(double share)>& progress) const {
    Pass pass{tape,     masks,  scales,  totals,
              rule,     chunks, nullptr, std::vector<std::int64_t>(levels_.size()),
              progress, {},     {}};
    const std::size_t mark = tape.mark();
    const Tensor condition = class_condition(tape, ids);
    const ProfileRange range("level", 0);
    run_in_chunks(tape, condition, chunks[0],
                  [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
                      pass.begin_chunk(0, begin, count, condition.rows());
                      pass.listener = pass.listener_for(listener, begin + count, condition.rows());
                      level_loss(pass, 0, tape.slice(images, begin, count), chunk);
                  });
    if (tape.recording()) tape.backward(mark);
}

void FractalModel::level_loss(Pass& pass, std::size_t level, const Tensor& images,
                              const Tensor& condition) const {
    if (level == levels_.size()) return pixel_loss(pass, *pixel_level_, level, images, condition);
    Tape& tape = pass.tape;
    const std::int64_t size = config_.img_size_list[level];
    const Tensor patches = patchify(tape, images, config_.channels, size, config_.patch_size(level));
    if (!config_.is_mar(level)) {
        ar_loss(pass, level, patches, condition);
    } else {
        Tensor guiding_pixel;
        if (config_.guides(level)) {
            guiding_pixel = mean_pixels(tape, images, config_.channels, size);
            pixel_loss(pass, *mar_level(level).guiding_level(), level, jittered(pass, level, guiding_pixel),
                       first_condition(tape, condition, config_.condition_width(level)));
        }
        mar_loss(pass, level, patches, condition, guiding_pixel);
    }
    pass.done[level] += condition.rows();
}

void FractalModel::ar_loss(Pass& pass, std::size_t level, const Tensor& patches,
                           const Tensor& condition) const {
    const Tensor sequence_ids = pass.sequence_ids(level, condition.rows());
    children_loss(
        pass, level, patches,
        ar_level(level).forward(pass.tape, patches, condition, sequence_ids, pass.rule, pass.listener));
}

void FractalModel::mar_loss(Pass& pass, std::size_t level, const Tensor& patches, const Tensor& condition,
                            const Tensor& guiding_pixel) const {
    Tape& tape = pass.tape;
    const std::int64_t M = condition.rows();
    const ChunkMask chunk = chunk_mask(tape, pass.masks, level, pass.done[level], M, config_.tokens(level));
    // A guiding pixel's level lies behind the blocks in the slab, but finishes after them.
    GradientReadyListener* const listener = config_.guides(level) ? nullptr : pass.listener;
    const MarLevel& model = mar_level(level);
    const Tensor outputs = model.forward(tape, patches, model.prefix(tape, condition, guiding_pixel),
                                         chunk.mask, pass.sequence_ids(level, M), pass.rule, listener);
    const Tensor conditions =
        neighbour_conditions(tape, outputs, chunk.selected, chunk.rows, model.neighbours());
    children_loss(pass, level, gather_rows(tape, patches, chunk.selected), conditions);
}

void FractalModel::children_loss(Pass& pass, std::size_t level, const Tensor& patches,
                                 const Tensor& conditions) const {
    GradientReadyListener* const listener = pass.listener;
    const ProfileRange range("level", static_cast<int>(level) + 1);
    run_in_chunks(pass.tape, conditions, pass.chunks[level + 1],
                  [&](std::int64_t begin, std::int64_t count, const Tensor& chunk) {
                      pass.begin_chunk(level + 1, begin, count, conditions.rows());
                      pass.listener = pass.listener_for(listener, begin + count, conditions.rows());
                      level_loss(pass, level + 1, pass.tape.slice(patches, begin, count), chunk);
                  });
    pass.listener = listener;
    if (listener != nullptr) listener->ready_from(level_begins_[level + 1]);
}

Tensor FractalModel::jittered(Pass& pass, std::size_t level, const Tensor& guiding_pixel) const {
    if (pass.rule.jitter == 0) return guiding_pixel;
    const PhiloxKey key = random_key(pass.rule.seed, "guiding jitter/" + std::to_string(level));
    const std::int64_t M = guiding_pixel.rows(), C = config_.channels;
    std::vector<float> noise;
    for (std::int64_t m = 0; m < M && !pass.tape.planning(); ++m)
        for (std::int64_t c = 0; c < C; ++c) {
            const std::int64_t sequence_id =
                pass.masks.level(level).sequence_ids[static_cast<std::size_t>(pass.done[level] + m)];
            const double normal =
                random_normal(key, sequence_id, static_cast<std::uint32_t>(c), pass.rule.step);
            noise.push_back(static_cast<float>(normal) * pass.rule.jitter / 255.0f /
                            config_.pixel_deviation()[static_cast<std::size_t>(c)]);
        }
    const Tensor y = pass.tape.create(M, C, false);
    copy_to_tensor(pass.tape, y, noise.data(), noise.size() * sizeof(float));
    add_tensor(pass.tape, y, guiding_pixel);
    return y;
}

void FractalModel::pixel_loss(Pass& pass, const PixelLevel& model, std::size_t row, const Tensor& normalized,
                              const Tensor& condition) const {
    const auto C = static_cast<std::size_t>(config_.channels);
    model.loss(pass.tape, condition, image_values(pass.tape, config_, normalized),
               pass.scales.subspan(row * C, C),
               pass.tape.slice(pass.totals, static_cast<std::int64_t>(row), 1));
}

std::vector<float> loss_scales(const FractalConfig& config, double red_weight,
                               std::span<const double> terms) {
    const auto C = static_cast<std::size_t>(config.channels);
    const double sum = C == 1 ? 1 : red_weight + static_cast<double>(C - 1);
    std::vector<float> scales;
    for (const double count : terms)
        for (std::size_t c = 0; c < C; ++c)
            scales.push_back(
                count > 0 ? static_cast<float>((c == 0 && C > 1 ? red_weight : 1.0) / (sum * count)) : 0.0f);
    return scales;
}

std::vector<double> loss_terms(const FractalConfig& config, std::span<const std::int64_t> sequences) {
    std::vector<double> terms;
    for (std::size_t level = 0; level <= config.generators(); ++level)
        terms.push_back(level == config.generators() || config.guides(level)
                            ? static_cast<double>(sequences[level])
                            : 0.0);
    return terms;
}
