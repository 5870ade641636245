// Cost of a search for generation strategies by formula: `build/sample cost` of a masked-token transformer.
#pragma once

#include <cstdint>
#include <vector>

#include "models/nat/cost.h"

struct SearchCostRow {
    const char* method;
    std::int64_t strategies = 0;  // that an update evaluates, the iterate's share of every update included
    std::int64_t images = 0;      // pictures of an evaluation
    double operations = 0;        // of an update, 2 per multiply-add, Inception's included

    double pictures() const { return static_cast<double>(strategies * images); }
};
// Finite differences with 50,000 pictures an evaluation, as released, and the methods here with 5,000: common random
// numbers let an update do with fewer. Guided, with the tokenizer's decoder.
std::vector<SearchCostRow> search_costs(const GenerationCost& cost, std::int64_t steps);

// As on one H100: 989 TFLOP/s of dense products in bf16, and a share of it that a picture's steps reach.
inline constexpr double assumed_peak = 989e12, assumed_share = 0.4;
