#include "sample/nat_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/nat/cost.h"
#include "models/nat/transformer.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "sample/nat_search_cost.h"

namespace {

constexpr std::int64_t shown_steps[]{4, 8, 12, 16};

const TokenizerPreset& tokenizer_for(const NatPreset& preset) {
    for (const TokenizerPreset& each : tokenizer_presets())
        if (each.config.n_embed == preset.config.codebook_size) return each;
    fail("--preset {}: no tokenizer preset has {} codes", preset.name, preset.config.codebook_size);
}

void print_table(const NatPreset& preset, const TokenizerPreset& tokenizer, const GenerationCost& cost) {
    const NatConfig& config = preset.config;
    fmt::print("{}: {}x{} tokens of {}, width {}, {} blocks, {} parameters\n\n", preset.name, config.img_size,
               config.img_size, config.codebook_size, config.embed_dim, config.depth + 1,
               NatTransformer(config, Device::cpu).parameters().count());
    fmt::print("a pass of one sequence   {:>10.3f} GFLOP\n{:<25}{:>10.3f} GFLOP\n\n", 2 * cost.pass / 1e9,
               fmt::format("decoder of {}", tokenizer.name), 2 * cost.decoder / 1e9);
    fmt::print("{:<25}{:>16}{:>16}{:>22}{:>22}\n", "TFLOP of one image", "unguided", "guided",
               "guided, decoder", "the paper's count");
    for (const std::int64_t steps : shown_steps)
        fmt::print("{:<25}{:>16.3f}{:>16.3f}{:>22.3f}{:>22.3f}\n", fmt::format("{} steps", steps),
                   2 * cost.multiply_adds(steps, false, false) / 1e12,
                   2 * cost.multiply_adds(steps, true, false) / 1e12,
                   2 * cost.multiply_adds(steps, true, true) / 1e12,
                   cost.multiply_adds(steps, true, true) / 1e12);
    fmt::print(
        "\n2 operations per multiply-add; the paper's count, 1, with guidance's rows and the decoder: it "
        "gives autonat_s its\npublished 0.2 TFLOP for 4 steps and 0.3 for 8\n");
    fmt::print("\n{:<32}{:>11}{:>16}{:>14}{:>12}{:>14}\n", "an update of a search", "strategies",
               "pictures each", "pictures", "PFLOP", "GPU minutes");
    for (const std::int64_t steps : {4, 8})
        for (const SearchCostRow& row : search_costs(cost, steps))
            fmt::print("{:<32}{:>11}{:>16}{:>14.0f}{:>12.1f}{:>14.2f}\n",
                       fmt::format("{}, {} steps", row.method, steps), row.strategies, row.images,
                       row.pictures(), row.operations / 1e15,
                       row.operations / (assumed_peak * assumed_share) / 60);
    fmt::print(
        "\nfinite_differences with 50000 pictures is the release's, for up to 100 updates; pictures guided, "
        "decoded and seen by\nInception-v3; GPU minutes: by formula, at {:.0f} % of {:.0f} TFLOP/s, not "
        "measured\n",
        100 * assumed_share, assumed_peak / 1e12);
}

}  // namespace

void print_nat_cost(const NatPreset& preset, bool json) {
    const TokenizerPreset& tokenizer = tokenizer_for(preset);
    const GenerationCost cost = generation_cost(preset.config, tokenizer.config);
    if (!json) return print_table(preset, tokenizer, cost);
    nlohmann::ordered_json object{
        {"model", parse_ordered_json(to_json(preset.config))},
        {"tokenizer", tokenizer.name},
        {"parameters", NatTransformer(preset.config, Device::cpu).parameters().count()},
        {"pass_operations", 2 * cost.pass},
        {"decoder_operations", 2 * cost.decoder}};
    for (const std::int64_t steps : shown_steps)
        object["images"].push_back({{"steps", steps},
                                    {"unguided_operations", 2 * cost.multiply_adds(steps, false, true)},
                                    {"guided_operations", 2 * cost.multiply_adds(steps, true, true)},
                                    {"published_count", cost.multiply_adds(steps, true, true)}});
    for (const std::int64_t steps : {4, 8})
        for (const SearchCostRow& row : search_costs(cost, steps))
            object["searches"].push_back({{"method", row.method},
                                          {"steps", steps},
                                          {"strategies", row.strategies},
                                          {"images", row.images},
                                          {"update_operations", row.operations}});
    fmt::print("{}\n", json_text(object));
}
