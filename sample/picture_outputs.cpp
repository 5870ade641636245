#include "sample/picture_outputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <vector>

#include "data/images/sheet.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t trace_digits = 4, each_digits = 6;
constexpr std::string_view animation_name = "trace.webp";

std::size_t digits_of(const std::string& name) {
    return std::min(name.find_first_not_of("0123456789"), name.size());
}

// "000012.png" and "000012-class-3.png", but not "0012.png".
bool is_of_each(const fs::path& name) {
    return picture_number(name) >= 0 && digits_of(name.string()) >= each_digits;
}

bool is_of_trace(const fs::path& name) {
    return name == animation_name || (picture_number(name) >= 0 && !is_of_each(name));
}

// Names in a folder that `chosen` takes, sorted; none if there is no such folder.
std::vector<fs::path> names_in(const fs::path& folder, const std::function<bool(const fs::path&)>& chosen) {
    std::vector<fs::path> names;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (chosen(entry->path().filename())) names.push_back(entry->path().filename());
    std::ranges::sort(names);
    return names;
}

void refuse_first(const char* flag, const std::string& folder, const std::vector<fs::path>& names) {
    if (!names.empty())
        fail_usage("{} {}: holds {} of an earlier call: give another folder, or --overwrite", flag, folder,
                   names.front().string());
}

// The sheet among the numbered pictures would be replaced by one of them, or replace it.
void require_own_name(const PictureOutputs& outputs) {
    const fs::path out(outputs.out);
    std::error_code ignored;
    for (const std::string& folder : {outputs.each, outputs.trace})
        if (!folder.empty() && (is_of_each(out.filename()) || is_of_trace(out.filename())) &&
            fs::weakly_canonical(folder / out.filename(), ignored) == fs::weakly_canonical(out, ignored))
            fail_usage("--out {}: named like the pictures of {}: give another name", outputs.out, folder);
}

}  // namespace

std::int64_t picture_number(const fs::path& name) {
    const std::string text = name.string();
    const std::size_t digits = digits_of(text);
    std::int64_t number = -1;
    if (digits < trace_digits || !text.ends_with(".png") || (text[digits] != '.' && text[digits] != '-'))
        return -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
    return error == std::errc() ? number : -1;
}

PictureWriter::PictureWriter(const PictureOutputs& outputs, std::span<const NamedPath> inputs,
                             std::int64_t first, std::int64_t count)
    : folder_(outputs.each) {
    require_distinct({"--out", outputs.out}, inputs);
    require_distinct_folder({"--each", outputs.each}, inputs);
    require_distinct_folder({"--trace", outputs.trace}, inputs);
    require_own_name(outputs);
    const auto of_these_images = [&](const fs::path& name) {
        return is_of_each(name) && picture_number(name) >= first && picture_number(name) < first + count;
    };
    const auto replaced = names_in(outputs.each, of_these_images);
    if (!outputs.overwrite) {
        refuse_first("--each", outputs.each, replaced);
        refuse_first("--each", outputs.each, names_in(outputs.each, is_of_trace));
        refuse_first("--trace", outputs.trace, names_in(outputs.trace, is_of_trace));
        refuse_first("--trace", outputs.trace, names_in(outputs.trace, is_of_each));
    }
    for (const fs::path& name : replaced) earlier_.emplace(picture_number(name), name);
    if (!outputs.out.empty()) require_writable(outputs.out);
    for (const std::string& folder : {outputs.each, outputs.trace})
        if (!folder.empty()) make_folder(folder);
}

void PictureWriter::write_each(std::int64_t first, std::span<const std::uint8_t> images, int channels,
                               int size, std::span<const std::string> suffixes) const {
    if (folder_.empty()) return;
    write_images(folder_, first, images, channels, size, suffixes);
    std::error_code ignored;
    for (std::size_t i = 0; i < suffixes.size(); ++i) {
        const std::int64_t number = first + static_cast<std::int64_t>(i);
        const auto [begin, end] = earlier_.equal_range(number);
        for (auto earlier = begin; earlier != end; ++earlier)
            if (earlier->second != image_name(number, suffixes[i]))
                fs::remove(folder_ / earlier->second, ignored);
    }
}

std::string PictureOutputs::where_written() const {
    return fmt::format("{}{}{}", out.empty() ? "" : ": " + out, each.empty() ? "" : ", one by one in " + each,
                       trace.empty() ? "" : ", step by step in " + trace);
}

void add_picture_folder_flags(CommandLine& app, PictureOutputs& outputs, const std::string& steps) {
    app.add_option(
           "--each", outputs.each,
           "Folder for the images one by one, named by number and class; refused if pictures of these "
           "numbers are there")
        ->type_name("DIR");
    app.add_option(
           "--trace", outputs.trace,
           fmt::format("Folder for {}: 0000.png, 0001.png, ... and {}, which shows them one after the "
                       "other; refused if numbered pictures are there",
                       steps, animation_name))
        ->type_name("DIR");
    app.add_flag("--overwrite", outputs.overwrite,
                 "Replace the pictures of an earlier call in the folders of --each and --trace");
}
