// Rows of a table, such as class embeddings, whose numbers in a file are others than in the model.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/checkpoint/checkpoint.h"

// Reads a parameter [rows, width] as load_parameter does, its row i from the file's row order[i]; rows from
// order.size() on stand where they stood.
void load_reordered_rows(const TensorFile& file, const Parameter& parameter,
                         std::span<const std::int64_t> order, float* values, Device device);
