#include "sample/drawn_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "data/charts/prompt_sheet.h"
#include "data/images/sheet.h"
#include "data/records/class_names.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "runtime/files/atomic_file.h"

namespace {

constexpr std::size_t default_classes = 10, default_images = 16;
constexpr std::int64_t default_of_text = 8, widest_row = 16;

void require_output(const DrawnImagesFlags& flags) {
    if (flags.outputs.out.empty() && flags.outputs.each.empty()) fail_usage("expected --out, --each or both");
}

std::vector<std::int64_t> chosen_classes(const DrawnImagesFlags& flags, std::int64_t class_num,
                                         std::span<const std::string> names) {
    std::vector<std::int64_t> chosen;
    for (const std::string& list : flags.classes)
        std::ranges::copy(class_numbers("--classes", list, class_num, names), std::back_inserter(chosen));
    for (std::int64_t label = 0; flags.classes.empty() && label < class_num; ++label)
        if (chosen.size() < default_classes) chosen.push_back(label);
    if (chosen.empty()) chosen = {-1};
    return chosen;
}

// Columns per class: one or, with few classes, enough for about as many columns as rows.
std::int64_t default_columns(std::size_t distinct_classes, std::size_t images) {
    const auto side = static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(images))));
    const std::size_t columns = distinct_classes * std::max<std::size_t>(1, side / distinct_classes);
    return static_cast<std::int64_t>(std::min(columns, images));
}

}  // namespace

void add_choice_flags(CommandLine& command, DrawnImagesFlags& flags) {
    command
        .add_option("--classes", flags.classes,
                    "Classes to draw in turn, by name or number, commas between them; name:X and number:N if "
                    "a number is also a name (default: the first ten)")
        ->type_name("CLASS");
    command
        .add_option("--first", flags.first,
                    "Number of the first image: several jobs with one seed can each draw a part")
        ->capture_default_str()
        ->check(at_least(0));
    command
        .add_option("--count", flags.count, "Images (default: one per class, at least 16; of each text, 8)")
        ->check(within(1, 1'000'000));
}

void add_output_flags(CommandLine& command, DrawnImagesFlags& flags, const std::string& steps) {
    command.add_option("--batch", flags.batch, "Images at once")->capture_default_str()->check(at_least(1));
    command
        .add_option(
            "--columns", flags.columns,
            "Images in a row of the sheet (default: one per class, or a few if there are few classes)")
        ->check(at_least(1));
    command.add_option("--out", flags.outputs.out, "PNG file for the sheet of all images")->type_name("FILE");
    add_picture_folder_flags(command, flags.outputs, steps);
}

DrawnImages choose_images(const DrawnImagesFlags& flags, std::int64_t class_num,
                          std::span<const std::string> names) {
    require_output(flags);
    const std::vector<std::int64_t> chosen = chosen_classes(flags, class_num, names);
    const auto count =
        flags.count > 0 ? static_cast<std::size_t>(flags.count) : std::max(chosen.size(), default_images);
    DrawnImages drawn{flags.first,
                      {},
                      std::min(flags.batch, static_cast<std::int64_t>(count)),
                      flags.columns > 0 ? flags.columns : default_columns(chosen.size(), count)};
    for (std::size_t i = 0; i < count; ++i)
        drawn.classes.push_back(chosen[(static_cast<std::size_t>(flags.first) + i) % chosen.size()]);
    return drawn;
}

DrawnImages choose_text_images(const DrawnImagesFlags& flags, std::vector<std::string> texts) {
    require_output(flags);
    if (!flags.classes.empty()) fail_usage("--classes: the model draws from texts: expected --prompt");
    const std::int64_t each = flags.count > 0 ? flags.count : default_of_text;
    const auto count = static_cast<std::int64_t>(texts.size()) * each;
    DrawnImages drawn{flags.first,
                      {},
                      std::min(flags.batch, count),
                      flags.columns > 0 ? flags.columns : std::min(each, widest_row),
                      std::move(texts)};
    for (std::int64_t i = 0; i < count; ++i) drawn.classes.push_back(i / each);
    return drawn;
}

void require_one_batch(const DrawnImages& drawn) {
    if (static_cast<std::size_t>(drawn.batch) < drawn.classes.size())
        fail_usage(
            "--trace: shows the images of one batch, {}, and there are {}: raise --batch or lower --count",
            drawn.batch, drawn.classes.size());
}

ImageDrawing::ImageDrawing(const DrawnImagesFlags& flags, const DrawnImages& drawn,
                           std::span<const NamedPath> inputs, std::int64_t channels, std::int64_t size)
    : flags_(flags), drawn_(drawn), channels_(static_cast<int>(channels)), size_(static_cast<int>(size)) {
    const auto count = static_cast<std::int64_t>(drawn.classes.size());
    if (!flags.outputs.out.empty()) require_sheet(count, channels, size, drawn.columns);
    writer_.emplace(flags.outputs, inputs, drawn.first, count);
}

void ImageDrawing::run(const DrawBatch& draw) {
    const std::span<const std::int64_t> classes(drawn_.classes);
    const auto total = static_cast<std::int64_t>(classes.size());
    start_ = std::chrono::steady_clock::now();
    for (first_ = 0; first_ < total; first_ += count_) {
        count_ = std::min(drawn_.batch, total - first_);
        step(0, 1);
        add(draw(classes.subspan(static_cast<std::size_t>(first_), static_cast<std::size_t>(count_)),
                 drawn_.first + first_));
    }
    end_ = std::chrono::steady_clock::now();
    line_.clear();
}

void ImageDrawing::step(std::int64_t done, std::int64_t steps) {
    const std::size_t total = drawn_.classes.size();
    if (interrupted()) fail("interrupted after {} of {} images", first_, total);
    const double part =
        (static_cast<double>(first_) + static_cast<double>(count_ * done) / static_cast<double>(steps)) /
        static_cast<double>(total);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    line_.show(
        fmt::format("drawing images {} to {} of {}{}{}", first_ + 1, first_ + count_, total,
                    steps > 1 ? fmt::format(", step {} of {}", done, steps) : "",
                    part > 0 ? fmt::format(", {} left", duration_text(spent.count() * (1 / part - 1))) : ""));
}

void ImageDrawing::add(std::span<const std::uint8_t> batch) {
    if (!flags_.outputs.out.empty()) images_.insert(images_.end(), batch.begin(), batch.end());
    std::vector<std::string> suffixes;
    for (std::int64_t i = first_; i < first_ + count_; ++i) {
        const std::int64_t label = drawn_.classes[static_cast<std::size_t>(i)];
        suffixes.push_back(label < 0 || !drawn_.texts.empty() ? "" : fmt::format("-class-{}", label));
    }
    writer_->write_each(drawn_.first + first_, batch, channels_, size_, suffixes);
    if (flags_.outputs.each.empty() || drawn_.texts.empty()) return;
    // A caption file beside each picture, as build/data pack --captions takes it.
    for (std::int64_t i = first_; i < first_ + count_; ++i) {
        const auto label = static_cast<std::size_t>(drawn_.classes[static_cast<std::size_t>(i)]);
        const std::filesystem::path picture = image_name(drawn_.first + i, "");
        AtomicFile file(flags_.outputs.each / std::filesystem::path(picture).replace_extension(".txt"));
        file.write(drawn_.texts[label] + "\n");
        file.commit();
    }
}

double ImageDrawing::seconds() const {
    return std::chrono::duration<double>(end_ - start_).count();
}

void ImageDrawing::write_sheet() const {
    const std::string& out = flags_.outputs.out;
    if (out.empty()) return;
    if (!drawn_.texts.empty())
        write_png(out,
                  prompt_sheet(images_, channels_, size_, static_cast<int>(drawn_.columns), drawn_.texts));
    else
        write_png(out, image_sheet(images_, channels_, size_, static_cast<int>(drawn_.columns)));
}
