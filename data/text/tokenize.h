// `build/data tokenize`: captions as the ids that a text encoder takes.
#pragma once

#include <string>

struct TokenizeSettings {
    std::string text, file;  // one caption, or a file with one a line
    std::string variant = "openai";
    bool pad = false, json = false;
};

// Prints a line of ids for each caption or, with `json`, an object with the keys text, ids and clean (the
// text as words are taken from it); of a file, an array of them. Throws UsageError unless exactly one of
// `text` and `file` is given, for a variant that does not exist, and for a file that cannot be read
// (text_file.h).
void run_tokenize(const TokenizeSettings& settings);
