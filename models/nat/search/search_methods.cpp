#include "models/nat/search/search_methods.h"

#include "runtime/base/error.h"

std::unique_ptr<SearchMethod> make_search_method(std::string_view name, const SearchSpace& space,
                                                 const Strategy& start, const SearchSettings& settings) {
    if (name == "finite_differences")
        return std::make_unique<FiniteDifferences>(space, start, settings.updates,
                                                   settings.finite_differences);
    if (name == "spsa") return std::make_unique<Spsa>(space, start, settings.updates, settings.spsa);
    if (name == "cma_es") return std::make_unique<CmaEs>(space, start, settings.updates, settings.cma_es);
    fail_usage("the search method '{}' is not known, expected finite_differences, spsa or cma_es", name);
}
