// Numbers as they were given. A number that was stored as fp32 has more digits as a double than it was given
// with: 0.001 becomes 0.0010000000474974513.
#pragma once

#include <string>

// The double of the fewest decimal digits that stand for the same fp32 number, if `value` is one; otherwise
// `value`.
double as_given(double value);

// Its digits, such as "0.001".
std::string number_text(double value);
