// What the processor reaches at best in matrix products, measured here and now: no data sheet knows the clock
// under load or the neighbours of a virtual machine.
#pragma once

#include <cstddef>

// Operations per second of a product of two 2,048 x 2,048 matrices (fp32, 2 operations per multiply-add), the
// best of `repeats`.
double measure_product(int repeats);
// Memory that takes, in bytes.
std::size_t measured_product_bytes();
