// Searches over plain functions instead of models.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "models/nat/search/search_method.h"
#include "runtime/tensor/random.h"

using Point = std::vector<double>;
// Of a point and the update that it belongs to.
using Objective = std::function<double(const Point&, std::int64_t)>;

inline std::vector<double> objectives_of(const SearchMethod& method, const Objective& objective) {
    std::vector<double> values;
    for (const SearchPoint& point : method.ask()) values.push_back(objective(point.x, method.update()));
    return values;
}

// Until `evaluations` are spent or the search is finished.
inline void run(SearchMethod& method, const Objective& objective, std::int64_t evaluations) {
    while (!method.ask().empty() && method.evaluations() < evaluations)
        method.tell(objectives_of(method, objective));
}

// AutoNAT's published strategy of 8 steps, as x: three of its guidance scales are at their bound.
inline Point released_point() {
    return {0.9532, 0.8795, 0.7940, 0.7460, 0.6250, 0.4073, 0.2607, 2.4049, 2.4776, 1.1917,
            0.7685, 1.0673, 0.9354, 0.7844, 2.8999, 1.8673, 1.1444, 1.3796, 1.4700, 1.3761,
            1.7082, 0.7133, 1e-4,   1e-4,   1e-4,   0.9151, 1.6160, 1.1946, 1.3832, 1.2268};
}

// A quadratic around `optimum` in units of 0.05 for ratios and 0.5 for the rest, curvatures 1 to 4.
inline double quadratic(const SearchSpace& space, const Point& x, const Point& optimum) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double distance = (x[i] - optimum[i]) / (space.is_ratio(i) ? 0.05 : 0.5);
        sum += static_cast<double>(1 + i % 4) * distance * distance;
    }
    return sum;
}

// Noise as common random numbers leave it: all points of an update share one large number, and each has a
// small one of its own, of `deviation`.
inline double noise_of(const Point& x, std::int64_t update, double deviation) {
    double hash = 0;
    for (const double value : x) hash = hash * 3 + value * 1e6;
    const auto id = static_cast<std::int64_t>(std::fmod(hash, 1e15));
    const auto step = static_cast<std::uint32_t>(update);
    const PhiloxKey key = random_key(5, "noise of an objective");
    return 1000 * random_normal(key, 0, 0, step) + deviation * random_normal(key, id, 1, step);
}
