// Who follows a job's named ranges (profile.h) in the process itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>

// Called on the host where a range begins or ends, from now on; {} for none. To be set outside of all ranges. Throws
// std::logic_error if there is another.
enum class RangeEdge { begin, end };
using RangeObserver = std::function<void(std::string_view name, int number, RangeEdge edge)>;
void observe_ranges(RangeObserver each);
// "level 1"; the name alone if the number is negative.
std::string range_text(std::string_view name, int number);
