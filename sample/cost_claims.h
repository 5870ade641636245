// The paper's figures of its models' cost, and the formulas' results.
#pragma once

#include <string>
#include <string_view>
#include <vector>

struct CostClaim {
    std::string what;  // with its unit
    double ours, published;
    int decimals = 0;      // of our number when it is printed
    bool roughly = false;  // an approximate figure ("about") in the paper
};

// Of the paper's model `preset`; none for other models.
std::vector<CostClaim> cost_claims(std::string_view preset);
