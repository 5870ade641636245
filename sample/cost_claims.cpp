#include "sample/cost_claims.h"

#include <optional>

#include "models/fractal/cost.h"

namespace {

struct Published {
    std::string_view preset;
    double parameters;                                // of the authors' release
    std::optional<double> forward, unguided_forward;  // GFLOP; the latter without guiding pixels
};
constexpr Published published_figures[]{
    {"fractalar_in64", 442'068'224, {}, {}},        {"fractalmar_in64", 431'995'648, 512, {}},
    {"fractalmar_base_in256", 186'300'224, {}, {}}, {"fractalmar_large_in256", 437'000'064, 1134, 1073},
    {"fractalmar_huge_in256", 849'586'240, {}, {}},
};

FractalCost cost_of(const FractalConfig& config) {
    return fractal_cost(config, {recommended_iterations(config), false});
}

double forward_gflop(const FractalConfig& config) {
    return cost_of(config).sum(&NetworkCost::published_forward) / 1e9;
}

}  // namespace

std::vector<CostClaim> cost_claims(std::string_view preset) {
    std::vector<CostClaim> claims;
    for (const Published& published : published_figures) {
        if (published.preset != preset) continue;
        FractalConfig config = fractal_preset(preset).config;
        const FractalCost cost = cost_of(config);
        claims.push_back({"parameters", static_cast<double>(cost.parameters()), published.parameters});
        if (published.forward)
            claims.push_back({"forward pass, GFLOP", forward_gflop(config), *published.forward});
        if (published.unguided_forward) {
            config.guiding_pixel = false;
            claims.push_back({"forward pass without guiding pixels, GFLOP", forward_gflop(config),
                              *published.unguided_forward});
        }
        if (config.image_size() != 256) continue;
        const double finest = cost.networks[cost.networks.size() - 2].attention_entries,
                     full = full_attention_entries(config);
        claims.push_back(
            {"attention entries of the finest level above the pixels", finest, 64 * 64 * 4 * 4 * 4 * 4});
        claims.push_back({"attention entries over all pixels at once", full, 256.0 * 256 * 256 * 256});
        claims.push_back({"times fewer", full / finest, 4096});
        if (preset == "fractalmar_large_in256")
            claims.push_back({"its forward pass over fractalmar_in64's, 16 times fewer pixels",
                              forward_gflop(fractal_preset(preset).config) /
                                  forward_gflop(fractal_preset("fractalmar_in64").config),
                              2, 1, true});
    }
    return claims;
}
