// The search methods by name.
#pragma once

#include <memory>
#include <string_view>

#include "models/nat/search/cma_es.h"
#include "models/nat/search/finite_differences.h"
#include "models/nat/search/spsa.h"

struct SearchSettings {
    std::int64_t updates = 100;  // as in AutoNAT's release
    FiniteDifferenceSettings finite_differences;
    SpsaSettings spsa;
    CmaSettings cma_es;
};

// "finite_differences", "spsa" or "cma_es", of which only the settings of that name are read. Throws
// UsageError for another name, and as the method's constructor does.
std::unique_ptr<SearchMethod> make_search_method(std::string_view name, const SearchSpace& space,
                                                 const Strategy& start, const SearchSettings& settings);
