// Classes are numbered in each file on its own, and a folder more or less moves them all: their names say
// which class a word on the command line means, and which classes of two files are the same.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// The class that a word asks for, by name or by number; `names` by number, may be empty. "name:WORD" and
// "number:N" are read in that way alone. Throws UsageError, naming `flag`, if the model has no such class, or
// if the word is one class's name and another one's number (or name, of two classes of the same name).
std::int64_t class_number(std::string_view flag, std::string_view word, std::int64_t class_num,
                          std::span<const std::string> names);

// The classes of a list with commas between words. A name may hold commas itself: the longest part of the
// list that is a name counts as one word.
std::vector<std::int64_t> class_numbers(std::string_view flag, std::string_view list, std::int64_t class_num,
                                        std::span<const std::string> names);

// The classes of a file, by number; none if it does not name them.
struct ClassNames {
    std::string source;  // in messages
    std::span<const std::string> names;
};

// Of an open file of records.
template <class RecordFile>
ClassNames class_names(const RecordFile& file) {
    return {file.path().string(), file.classes()};
}

// The number in `model` of each class of `data`, found by name; the same number if one of the two has no
// names, or with `by_number`. Throws UsageError that names the first class of `data` that `model` lacks, or a
// name that one of them has twice.
std::vector<std::int64_t> match_classes(const ClassNames& model, const ClassNames& data, bool by_number);

// For a run that goes on with the data it began with: throws UsageError if the names differ, or their order.
void require_same_classes(const ClassNames& model, const ClassNames& data);

// What --ignore-class-names says in --help.
inline constexpr const char* ignore_class_names_meaning =
    "Take classes by their numbers, whatever their names are (default: by their names, where both files have "
    "them)";

// Labels of the data -> labels of the model; -1 (no label) stays.
void relabel(std::span<std::int32_t> labels, std::span<const std::int64_t> numbers);
