// Cost of each kernel by formula, and its bound on a device given by its data sheet.
#pragma once

#include <string>

#include "tests/bench/kernels.h"
#include "tests/bench/measure.h"

// The data sheet of NVIDIA's H200 SXM: 4.8 TB/s of memory, 990 TFLOP/s in dense bf16 products, 67 in fp32.
Ceiling data_sheet(Precision precision);

// One line per kernel, at the first shape it has in the list, as a Markdown table.
std::string formula_table(const KernelList& list, const Ceiling& roofs);
