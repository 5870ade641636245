// Byte-pair encoding (Sennrich et al. 2016, "Neural machine translation of rare words with subword units")
// over the bytes of a word, as CLIP does it.
//
// Symbols, which are the ids: 0 to 255 the bytes (first 21-7E, A1-AC, AE-FF, then the other 68, each in
// ascending order), 256 to 511 the same bytes at the end of a word, 512 + r the pair of rank r joined.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

class BytePairs {
  public:
    // The first `count` lines of a merge list: two symbols a line, in order of rank; a byte is written as the
    // character of its number if it is one of the first 188, else as U+0100, U+0101, ...; the end of a word
    // as </w>. Throws Error that names the line, if there are fewer lines, or one is not two symbols of the
    // lines above it, or joins them to a symbol that there is already.
    BytePairs(std::string_view merges, std::int64_t count);

    // Number of symbols.
    std::int32_t size() const { return size_; }

    // Appends the symbols of a word, UTF-8 and not empty: while a pair of neighbours is in the list, the pair
    // of lowest rank is joined, from left to right. n log n operations for n bytes.
    void append_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  private:
    // The symbol that joins two neighbours, -1 if they are no pair of the list.
    std::int32_t joined(std::int32_t left, std::int32_t right) const;

    std::int32_t size_;
    std::unordered_map<std::uint64_t, std::int32_t> merges_;
};
