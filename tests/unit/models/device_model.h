// The same small model on the CPU and on the device.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "models/fractal/sample.h"
#include "tests/skip.h"
#include "tests/test_devices.h"
#include "tests/unit/models/fractal/random_fractal.h"

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/emulated_device.h"
// Allows host access to the emulated device's memory during its lifetime, which is faster.
struct HostAccessAllowed {
    HostAccessAllowed() { emulator::emulated_device().host = emulator::HostAccess::allowed; }
    ~HostAccessAllowed() { emulator::emulated_device().host = before; }
    emulator::HostAccess before = emulator::emulated_device().host;
};
#else
struct HostAccessAllowed {};
#endif

namespace device_model {

inline constexpr std::int64_t labels[] = {0, 4, 2};

// Sixteen pixels, of the AR and the MAR kind, with guiding pixels, and with two levels; sixteen codes.
inline const FractalConfig ar = random_fractal::make_config({4, 2, 1}, 3, 5),
                           mar = random_fractal::with_types(ar, {"mar", "mar", "ar"}, 5),
                           guided = random_fractal::with_types(random_fractal::make_config({4, 2, 1}, 1, 5),
                                                               {"mar", "mar", "ar"}, 2, true),
                           mixed = random_fractal::with_types(ar, {"ar", "mar", "ar"}, 5),
                           two_levels = random_fractal::make_config({4, 1}, 3, 5);
inline const FractalConfig ar_codes =
                               random_fractal::of_codes(random_fractal::make_config({4, 2, 1}, 1, 5), 37),
                           mar_codes = random_fractal::with_types(ar_codes, {"mar", "mar", "ar"}, 5);
inline const std::vector<FractalConfig> small_models{ar, mar, guided, mixed, two_levels, ar_codes, mar_codes};

inline std::unique_ptr<FractalModel> on_gpu(const FractalModel& model, Precision precision) {
    const Backend backend(Device::cuda, precision);
    auto copy = std::make_unique<FractalModel>(model.config(), backend);
    Parameters& parameters = copy->parameters();
    parameters.allocate(backend, true);
    copy_to_device(Device::cuda, parameters.values(), model.parameters().values(),
                   parameters.slab_floats() * sizeof(float));
    parameters.round_values();
    return copy;
}

// Steps of each level, ignored by AR levels.
inline std::vector<std::int64_t> iterations(const FractalConfig& config) {
    return std::vector<std::int64_t>(config.generators(), 3);
}

struct Drawn {
    std::vector<std::int32_t> images;
    std::vector<DrawRecord> draws;
};

inline std::span<const std::int64_t> first_labels(std::size_t count) {
    return std::span(labels).first(count);
}

// With a new sampler that keeps every draw, which disables recorded graphs.
inline Drawn draw(const FractalModel& model, const SampleRule& rule, std::size_t count = 2,
                  const EditTask* task = nullptr) {
    FractalSampler sampler(model, static_cast<std::int64_t>(count), rule.guidance != 1,
                           iterations(model.config()));
    sampler.keep_draws(true);
    Drawn drawn;
    drawn.images = random_fractal::drawn_values(model.config(), sampler, first_labels(count), rule, task);
    drawn.draws = sampler.draws();
    return drawn;
}

// Difference between two samplings of the same images beyond rounding, "" if there is none: the first
// different draw was not within rounding of another value.
inline std::string real_difference(const Drawn& a, const Drawn& b) {
    constexpr float rounding = 1e-4f;
    if (a.draws.size() != b.draws.size()) return "other numbers of draws";
    for (std::size_t i = 0; i < a.draws.size(); ++i) {
        const DrawRecord &x = a.draws[i], &y = b.draws[i];
        if (x.level != y.level || x.sequence_id != y.sequence_id || x.channel != y.channel ||
            x.uniform != y.uniform)
            return fmt::format("draw {} is of another place or number", i);
        if (x.value == y.value) continue;
        if (std::min(x.margin, y.margin) < rounding) return "";
        return fmt::format("draw {} of level {}: {} and {}, the number {} is {} and {} from the edge", i,
                           x.level, x.value, y.value, x.uniform, x.margin, y.margin);
    }
    return a.images == b.images ? "" : "the same draws make other images";
}

}  // namespace device_model
