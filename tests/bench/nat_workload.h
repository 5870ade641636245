// A tokenizer and a masked-token transformer, and how they are run: what the rows of nat.cpp and goals.cpp
// measure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/nat/config.h"
#include "models/nat/tokenizer_config.h"
#include "tests/bench/table.h"

struct NatWorkload {
    std::string tokenizer_name, transformer_name;
    TokenizerConfig tokenizer;
    NatConfig transformer;
    std::int64_t pictures, sequences;     // of a training step
    std::vector<std::int64_t> generated;  // pictures at once, a row each

    std::int64_t side() const { return transformer.img_size; }
    std::int64_t image_size() const { return side() * tokenizer.downsampling(); }
};

// The smallest, which runs anywhere.
NatWorkload smoke_nat_workload();
// Of presets by their names.
NatWorkload preset_workload(const std::string& tokenizer, const std::string& transformer,
                            std::int64_t pictures, std::int64_t sequences,
                            std::vector<std::int64_t> generated);

// Pictures in eight guided steps, from classes to pixels.
void bench_generation(Table& table, const NatWorkload& work);
