// Tables of the text cleaning and the splitting of CLIP's tokenizer: properties of characters and the names
// of HTML5 entities, parsed once from data/text/clip_text_tables.txt (embedded_files.h).
//
// Tables instead of a Unicode library, since the ids depend on the version of Unicode, and on two at once:
// the published tokenizers have letters and numbers of Unicode 17 (the Python package regex) and lower case
// of Unicode 14 (Python 3.11). ICU 72, of Unicode 15, differs in 22,068 letters and 416 numbers, in Cased at
// 273 and in Case_Ignorable at 185 code points; its lower case, decompositions and spaces agree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// A set of code points as ascending ranges.
class CodePointSet {
  public:
    void add(char32_t first, char32_t last) { ranges_.push_back({first, last}); }
    bool contains(char32_t code) const;

  private:
    struct Range {
        char32_t first, last;
    };
    std::vector<Range> ranges_;
};

struct Entity {
    std::u32string text;
    bool repair_only;  // known to the repair (ftfy) alone, not to HTML5
};

using CodePointMap = std::unordered_map<char32_t, std::u32string>;

struct TextTables {
    CodePointSet letters, numbers, spaces;
    CodePointSet cased, case_ignorable;                        // for the final sigma
    CodePointMap lower;                                        // characters that differ from their lower case
    CodePointMap replacements;                                 // ligatures, full and half width forms (ftfy)
    std::unordered_map<char32_t, int> combining_classes;       // canonical, without those of class 0
    CodePointMap decompositions;                               // canonical, one step
    std::unordered_map<std::uint64_t, char32_t> compositions;  // by pair_key, without excluded ones
    std::unordered_map<std::string_view, Entity> entities;     // a final ; is part of the name
};

constexpr std::uint64_t pair_key(char32_t first, char32_t second) {
    return std::uint64_t{first} << 32 | second;
}

const TextTables& text_tables();
