#include "sample/nat_search_cost.h"

#include "models/metrics/feature_cost.h"
#include "models/nat/search/search_methods.h"

namespace {

constexpr std::int64_t released_images = 50'000, own_images = 5'000;

// Points of an update; the iterate is among them where the method asks for it in each.
std::int64_t evaluations(const char* method, std::int64_t steps) {
    const Strategy start = autonat_start(steps);
    return static_cast<std::int64_t>(make_search_method(method, SearchSpace(steps), start, {})->ask().size());
}

}  // namespace

std::vector<SearchCostRow> search_costs(const GenerationCost& cost, std::int64_t steps) {
    std::vector<SearchCostRow> rows{{"finite_differences", 0, released_images, 0},
                                    {"finite_differences", 0, own_images, 0},
                                    {"spsa", 0, own_images, 0},
                                    {"cma_es", 0, own_images, 0}};
    static const double features = inception_multiply_adds();
    const double picture = 2 * (cost.multiply_adds(steps, true, true) + features);
    for (SearchCostRow& row : rows) {
        row.strategies = evaluations(row.method, steps);
        row.operations = picture * row.pictures();
    }
    return rows;
}
