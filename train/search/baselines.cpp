#include "train/search/baselines.h"

#include "models/nat/strategy_heuristics.h"
#include "runtime/base/error.h"
#include "runtime/base/number_text.h"

std::vector<Baseline> baselines(const BaselineGrid& grid, std::int64_t steps, bool guided) {
    for (const double temperature : grid.temperatures)
        if (!(temperature >= 0 && temperature <= 1000))
            fail_usage("--baseline-temperatures {}: expected 0 to 1000", number_text(temperature));
    const std::vector<double> scales = guided ? grid.guidance_scales : std::vector<double>{0};
    std::vector<Baseline> all;
    for (const std::string& name : grid.names)
        for (const double scale : scales) {
            const std::string guidance = fmt::format("s {}", number_text(scale));
            if (!has_temperature(name)) {
                all.push_back({name, guidance, named_strategy(name, steps, scale)});
                continue;
            }
            for (const double temperature : grid.temperatures)
                all.push_back({name, fmt::format("{}, temperature {}", guidance, number_text(temperature)),
                               named_strategy(name, steps, scale, temperature)});
        }
    return all;
}
