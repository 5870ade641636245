// The small part of YAML that published generation strategies are written in: named lists of numbers, in
// flow style over one or more lines or in block style, and comments.
//
//   manual_ratios: [0.95, 0.88]      # a comment
//   manual_temp:
//     - 2.4
//     - 1.9
//
// Anything else of YAML (nesting, strings, quotes, anchors, tabs before a key) is refused.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

using NumberLists = std::map<std::string, std::vector<double>>;

// Throws UsageError naming `source` and the line for text that is none of this, and for a name given twice.
NumberLists parse_number_lists(std::string_view text, std::string_view source);
