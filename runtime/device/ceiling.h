// Peak rate of matrix products, measured at run time: it depends on the clock under load and on other virtual
// machines of the host.
#pragma once

#include <cstddef>

// Operations per second of a product of two 2,048 x 2,048 matrices (fp32, 2 operations per multiply-add), the
// best of `repeats`.
double measure_product(int repeats);
// Its memory in bytes.
std::size_t measured_product_bytes();
