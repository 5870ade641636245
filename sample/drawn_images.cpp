#include "sample/drawn_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "data/sheet.h"
#include "runtime/error.h"
#include "runtime/flag_range.h"

namespace {

constexpr std::size_t default_classes = 10, default_images = 16;

std::vector<std::int64_t> chosen_classes(const DrawnImagesFlags& flags, std::int64_t class_num,
                                         std::span<const std::string> names) {
    std::vector<std::int64_t> chosen;
    for (const std::string& text : flags.classes)
        chosen.push_back(class_number("--classes", text, class_num, names));
    for (std::int64_t label = 0; flags.classes.empty() && label < class_num; ++label)
        if (chosen.size() < default_classes) chosen.push_back(label);
    if (chosen.empty()) chosen = {-1};
    return chosen;
}

// Every class in columns of its own: one or, of few classes, so many that there are about as many as rows.
std::int64_t default_columns(std::size_t distinct_classes, std::size_t images) {
    const auto side = static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(images))));
    const std::size_t columns = distinct_classes * std::max<std::size_t>(1, side / distinct_classes);
    return static_cast<std::int64_t>(std::min(columns, images));
}

}  // namespace

std::int64_t class_number(std::string_view flag, const std::string& text, std::int64_t class_num,
                          std::span<const std::string> names) {
    if (class_num == 0) fail_usage("{} {}: the model has no classes", flag, text);
    std::int64_t number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) {
        if (number < 0 || number >= class_num)
            fail_usage("{} {}: the model has the classes 0 to {}", flag, text, class_num - 1);
        return number;
    }
    const auto known = std::ranges::find(names, text);
    if (known == names.end())
        fail_usage("{} {}: the model has no class of that name, {}", flag, text,
                   names.empty() ? "nor any other: ask by number" : "build/sample info lists them");
    return known - names.begin();
}

void add_choice_flags(CLI::App& command, DrawnImagesFlags& flags) {
    command
        .add_option("--classes", flags.classes,
                    "Classes to draw in turn, by number or name (default: the first ten)")
        ->type_name("CLASS")
        ->delimiter(',');
    command.add_option("--count", flags.count, "Images (default: one per class, at least 16)")
        ->check(within(1, 1'000'000));
}

void add_output_flags(CLI::App& command, DrawnImagesFlags& flags) {
    command.add_option("--batch", flags.batch, "Images at once")->capture_default_str()->check(at_least(1));
    command
        .add_option(
            "--columns", flags.columns,
            "Images in a row of the sheet (default: one per class, or a few if there are few classes)")
        ->check(at_least(1));
    command.add_option("--out", flags.out, "PNG file for the sheet of all images")->type_name("FILE");
    command.add_option("--each", flags.each, "Folder for the images one by one")->type_name("DIR");
}

DrawnImages choose_images(const DrawnImagesFlags& flags, std::int64_t class_num,
                          std::span<const std::string> names) {
    if (flags.out.empty() && flags.each.empty()) fail_usage("expected --out, --each or both");
    const std::vector<std::int64_t> chosen = chosen_classes(flags, class_num, names);
    const auto count =
        flags.count > 0 ? static_cast<std::size_t>(flags.count) : std::max(chosen.size(), default_images);
    DrawnImages drawn{{},
                      std::min(flags.batch, static_cast<std::int64_t>(count)),
                      flags.columns > 0 ? flags.columns : default_columns(chosen.size(), count)};
    for (std::size_t i = 0; i < count; ++i) drawn.classes.push_back(chosen[i % chosen.size()]);
    return drawn;
}

void require_one_batch(const DrawnImages& drawn) {
    if (static_cast<std::size_t>(drawn.batch) < drawn.classes.size())
        fail_usage(
            "--trace: shows the images of one batch, {}, and there are {}: raise --batch or lower --count",
            drawn.batch, drawn.classes.size());
}

void write_images(const DrawnImagesFlags& flags, const DrawnImages& drawn,
                  std::span<const std::uint8_t> images, std::int64_t channels, std::int64_t size) {
    const auto C = static_cast<int>(channels), side = static_cast<int>(size);
    if (!flags.each.empty()) {
        std::vector<std::string> suffixes;
        for (const std::int64_t label : drawn.classes)
            suffixes.push_back(label < 0 ? "" : fmt::format("-class-{}", label));
        write_images(flags.each, images, C, side, suffixes);
    }
    if (!flags.out.empty())
        write_png(flags.out, image_sheet(images, C, side, static_cast<int>(drawn.columns)));
}

std::string where_written(const DrawnImagesFlags& flags, const std::string& trace) {
    return fmt::format("{}{}{}", flags.out.empty() ? "" : ": " + flags.out,
                       flags.each.empty() ? "" : ", one by one in " + flags.each,
                       trace.empty() ? "" : ", step by step in " + trace);
}
