#include "data/records/pack.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <exception>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "data/images/crop.h"
#include "data/images/image_file.h"
#include "data/images/orientation.h"
#include "data/records/folder_files.h"
#include "data/records/packed.h"
#include "data/records/picture_captions.h"
#include "kernels/common/threads.h"
#include "runtime/base/error.h"
#include "runtime/files/output_file.h"
#include "runtime/files/text_file.h"

namespace {

namespace fs = std::filesystem;

// The packed file and, with a holdout, the second one beside it. Neither appears before both are written.
class SplitWriter {
  public:
    SplitWriter(const PackOptions& options, int size, int channels, const std::vector<std::string>& classes)
        : fraction_(options.holdout), classes_(classes), seen_(classes.size() + 1) {
        if (fraction_ < 0.0 || fraction_ >= 1.0 || std::isnan(fraction_))
            fail("a holdout of {}, expected a fraction from 0 to below 1", fraction_);
        packed_.emplace(options.out, size, channels, classes);
        if (fraction_ > 0.0) held_out_.emplace(holdout_path(options.out), size, channels, classes);
    }

    void add(const std::uint8_t* pixels, int label, std::span<const std::string> captions = {}) {
        const std::int64_t number = seen_[static_cast<std::size_t>(label + 1)]++;
        // After n images of a class, n * fraction of them, rounded, are held out.
        const bool hold_out = held_out_by(number + 1) > held_out_by(number);
        (hold_out ? *held_out_ : *packed_).add(pixels, label, captions);
    }

    void commit(PackReport& report) {
        for (std::size_t i = 0; i < classes_.size(); ++i)
            if (seen_[i + 1] == 0) report.empty_classes.push_back(classes_[i]);
        report.packed = packed_->count();
        report.held_out = held_out_ ? held_out_->count() : 0;
        if (held_out_ && (report.packed == 0 || report.held_out == 0))
            fail("a holdout of {} divides the images into {} and {}, expected at least one in each",
                 fraction_, report.packed, report.held_out);
        packed_->finish();
        if (held_out_) held_out_->finish();
        if (held_out_) held_out_->commit();
        packed_->commit();
    }

  private:
    std::int64_t held_out_by(std::int64_t images) const {
        return std::llround(static_cast<double>(images) * fraction_);
    }

    double fraction_;
    std::vector<std::string> classes_;
    std::vector<std::int64_t> seen_;  // images so far by label + 1
    std::optional<PackedWriter> packed_, held_out_;
};

struct Source {
    fs::path path;
    int label;
    double place;  // the lower, the earlier; within its class from 0 to 1
};

struct Listing {
    std::vector<std::string> classes;
    std::vector<Source> sources;
};

std::vector<fs::path> folders_among(const std::vector<fs::path>& entries) {
    std::vector<fs::path> folders;
    std::ranges::copy_if(entries, std::back_inserter(folders), is_folder);
    return folders;
}

[[noreturn]] void fail_without_pictures(const fs::path& class_folder) {
    fail("{}: a class folder that holds no JPEG or PNG image: remove it, or rename it with a dot in front",
         class_folder.string());
}

// "train" of "Train"; "" if the name is not one of those that parts of data sets have.
std::string split_name(const fs::path& folder) {
    constexpr std::array<std::string_view, 8> names{"train",      "training", "val",     "valid",
                                                    "validation", "test",     "testing", "eval"};
    std::string name = folder.filename().string();
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    return std::ranges::find(names, name) != names.end() ? name : "";
}

// In single quotes, as a shell takes it.
std::string quoted(const fs::path& path) {
    std::string word = "'";
    for (const char c : path.string()) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

// Folders named train, val and the like, with folders in them, are parts of a data set, not classes. A class
// may have such a name if there are others.
void require_classes(const fs::path& images, const std::vector<fs::path>& folders, int size, bool grey,
                     const PackOptions& options) {
    std::vector<fs::path> splits;
    std::ranges::copy_if(folders, std::back_inserter(splits),
                         [](const fs::path& folder) { return !split_name(folder).empty(); });
    const bool above_classes = std::ranges::any_of(
        splits, [](const fs::path& split) { return !folders_among(sorted_entries(split)).empty(); });
    if (!above_classes || (splits.size() == 1 && folders.size() > 1)) return;
    // Training images first: the others may be what a training run takes as its holdout.
    std::stable_partition(splits.begin(), splits.end(),
                          [](const fs::path& split) { return split_name(split).starts_with("train"); });
    std::string names, commands, flags;
    if (grey) flags += " --grey";
    if (options.exif) flags += " --exif";
    if (options.crop == CropRule::coco) flags += " --crop coco";
    if (options.captions) flags += options.captions->empty() ? " --captions" : " --captions FILE";
    for (std::size_t i = 0; i < splits.size(); ++i) {
        names += fmt::format("{}{}/", i == 0 ? "" : ", ", splits[i].filename().string());
        const fs::path out = i == 0 ? options.out : i == 1 ? holdout_path(options.out) : fs::path();
        if (!out.empty())
            commands += fmt::format("{}build/data pack --images {} --size {}{} --out {}",
                                    i == 0 ? "" : " && ", quoted(splits[i]), size, flags, quoted(out));
    }
    fail("{}: holds {}, parts of a data set with the classes in them: pack each by itself: {}",
         images.string(), names, commands);
}

// Files of captions are left out, and read.
Listing list_images(const fs::path& images, int size, bool grey, const PackOptions& options,
                    PictureCaptions* captions, PackReport& report) {
    const auto holds_captions = [&](const fs::path& file) {
        return captions != nullptr && captions->read_if_captions(file);
    };
    const std::vector<fs::path> entries = sorted_entries(images), folders = folders_among(entries);
    Listing listing;
    if (folders.empty()) {
        for (const fs::path& entry : entries)
            if (!holds_captions(entry)) listing.sources.push_back({entry, -1, 0});
        if (captions != nullptr)
            for (Source& source : listing.sources)
                source.place = static_cast<double>(captions->place(source.path));
        std::ranges::stable_sort(listing.sources, {}, &Source::place);
        return listing;
    }
    require_classes(images, folders, size, grey, options);
    for (const fs::path& entry : entries) {
        if (!is_folder(entry)) {
            if (!holds_captions(entry))
                report.skipped.add(fmt::format("{}: not in a class folder", entry.string()));
            continue;
        }
        const int label = static_cast<int>(listing.classes.size());
        listing.classes.push_back(entry.filename().string());
        std::vector<fs::path> files = files_below(entry, images);
        std::erase_if(files, holds_captions);
        if (std::ranges::none_of(files, starts_like_image)) fail_without_pictures(entry);
        if (folders.size() == 1 && folders_among(sorted_entries(entry)).size() > 1 &&
            std::ranges::none_of(files, [&](const fs::path& file) { return file.parent_path() == entry; }))
            report.only_class = entry;
        for (std::size_t i = 0; i < files.size(); ++i)
            listing.sources.push_back(
                {files[i], label, (static_cast<double>(i) + 0.5) / static_cast<double>(files.size())});
    }
    std::ranges::stable_sort(listing.sources, {}, &Source::place);
    return listing;
}

// An output may replace nothing but what an earlier packing left.
bool may_be_replaced(const fs::path& path) {
    std::error_code none;
    return !fs::exists(path, none) || is_packed_file(path);
}

void require_distinct_outputs(const PackOptions& options, const char* flag,
                              const std::vector<fs::path>& inputs) {
    std::vector<NamedPath> outputs{{"--out", options.out}};
    if (options.holdout > 0) outputs.push_back({"--out, its holdout", holdout_path(options.out)});
    for (const NamedPath& output : outputs) {
        fs::path partial = output.path;
        partial += partial_suffix;
        if (may_be_replaced(output.path) && may_be_replaced(partial)) continue;
        for (const fs::path& input : inputs) require_distinct(output, std::vector<NamedPath>{{flag, input}});
    }
}

struct Decoded {
    std::vector<std::uint8_t> pixels;  // [C, S, S], empty if skipped
    bool is_turned = false;            // by its EXIF orientation
    std::string reason;                // why it was skipped
    std::exception_ptr failure;        // anything but a bad image ends the packing
};

Decoded decode(const fs::path& path, int size, int channels, const PackOptions& options) {
    Decoded decoded;
    try {
        std::error_code unreachable;  // a link that leads nowhere is no file either
        if (!fs::is_regular_file(path, unreachable)) fail("{}: not a file", path.string());
        OrientedImage read = read_oriented_image(path, channels);
        decoded.is_turned = read.orientation != 1;
        if (options.exif && decoded.is_turned) read.image = upright(read.image, read.orientation);
        decoded.pixels = planar_pixels(options.crop == CropRule::coco ? crop_square_lanczos(read.image, size)
                                                                      : crop_centre(read.image, size));
    } catch (const Error& error) {
        decoded.reason = error.what();
    } catch (...) {
        decoded.failure = std::current_exception();
    }
    return decoded;
}

// Throws Error if captions are asked for and no image has one.
void require_captions(const fs::path& images, const PictureCaptions& captions, const PackReport& report) {
    if (report.captions > 0) return;
    const auto first = [](const char* what, const NamedFiles& files) {
        return files.count > 0 ? fmt::format("; the first {} is {}", what, files.first.front()) : "";
    };
    fail("{}: no image has captions in {}{}{}", images.string(), captions.source(),
         first("image", report.without_captions), first("one with captions", report.without_picture));
}

void report_progress(const PackOptions& options, std::size_t done, std::size_t total) {
    if (options.progress) options.progress(static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
}

}  // namespace

void NamedFiles::add(std::string name) {
    ++count;
    if (first.size() < maximum_named) first.push_back(std::move(name));
}

fs::path holdout_path(const fs::path& out) {
    fs::path name = out.stem();
    name += ".holdout";
    name += out.extension();
    return out.parent_path() / name;
}

PackReport pack_folder(const fs::path& images, int size, bool grey, const PackOptions& options) {
    PackReport report;
    std::optional<PictureCaptions> captions;
    if (options.captions) captions.emplace(images, *options.captions);
    const Listing listing = list_images(images, size, grey, options, captions ? &*captions : nullptr, report);
    const int channels = grey ? 1 : 3;
    std::vector<fs::path> paths;
    for (const Source& source : listing.sources) paths.push_back(source.path);
    require_distinct_outputs(options, "--images", paths);
    std::vector<std::vector<std::string>> captions_of_paths(paths.size());
    if (captions) {
        require_distinct_outputs(options, "--captions", captions->files());
        std::ranges::transform(paths, captions_of_paths.begin(),
                               [&](const fs::path& path) { return captions->of(path); });
        for (std::string& name : captions->unused()) report.without_picture.add(std::move(name));
    }
    SplitWriter writer(options, size, channels, listing.classes);
    // Enough to keep the threads busy, few enough to hold: 64 MB unless 16 images are more.
    const std::size_t images_at_once = std::clamp<std::size_t>(
        (std::size_t{64} << 20) / static_cast<std::size_t>(channels * size * size), 16, 256);
    const std::size_t total = paths.size();
    std::vector<Decoded> decoded(std::min(images_at_once, total));
    std::vector<std::int64_t> by_label(listing.classes.size() + 1);
    for (std::size_t first = 0; first < total; first += images_at_once) {
        const std::size_t count = std::min(images_at_once, total - first);
        cpu::share_each(static_cast<std::int64_t>(count), 1, [&](std::int64_t number) {
            const auto i = static_cast<std::size_t>(number);
            decoded[i] = decode(paths[first + i], size, channels, options);
        });
        for (std::size_t i = 0; i < count; ++i) {
            if (decoded[i].failure) std::rethrow_exception(decoded[i].failure);
            if (decoded[i].pixels.empty()) {
                report.skipped.add(std::move(decoded[i].reason));
                continue;
            }
            const int label = listing.sources[first + i].label;
            const std::vector<std::string>& own = captions_of_paths[first + i];
            writer.add(decoded[i].pixels.data(), label, own);
            ++by_label[static_cast<std::size_t>(label + 1)];
            report.turned += decoded[i].is_turned;
            report.captions += static_cast<std::int64_t>(own.size());
            if (captions && own.empty()) report.without_captions.add(paths[first + i].string());
        }
        report_progress(options, first + count, total);
    }
    if (std::ranges::all_of(by_label, [](std::int64_t packed) { return packed == 0; }))
        fail("{}: holds no JPEG or PNG image{}{}", images.string(),
             report.skipped.count > 0 ? "; the first file skipped is " : "",
             report.skipped.count > 0 ? report.skipped.first.front() : "");
    for (std::size_t i = 0; i < listing.classes.size(); ++i)
        if (by_label[i + 1] == 0) fail_without_pictures(images / listing.classes[i]);
    if (captions) require_captions(images, *captions, report);
    writer.commit(report);
    return report;
}

namespace {

constexpr int cifar_size = 32, cifar_channels = 3, cifar_classes = 10;
constexpr std::size_t cifar_record_bytes = 1 + cifar_channels * cifar_size * cifar_size;

std::vector<std::string> cifar_class_names(const fs::path& folder) {
    const fs::path path = folder / "batches.meta.txt";
    if (!fs::exists(path))
        return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    std::istringstream lines(read_text_file(path));
    std::vector<std::string> names;
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!line.empty()) names.push_back(line);
    }
    if (names.size() != cifar_classes)
        fail("{}: {} class names, expected {}", path.string(), names.size(), cifar_classes);
    return names;
}

std::vector<fs::path> cifar_files(const fs::path& folder, const std::string& split) {
    if (split == "test") return {folder / "test_batch.bin"};
    if (split != "train") fail("CIFAR-10 has no split \"{}\", expected train or test", split);
    std::vector<fs::path> paths;
    for (int i = 1; i <= 5; ++i) paths.push_back(folder / fmt::format("data_batch_{}.bin", i));
    return paths;
}

std::size_t cifar_records(const fs::path& path) {
    std::error_code error;
    const std::uintmax_t length = fs::file_size(path, error);
    if (error) fail("{}: cannot be read: {}", path.string(), error.message());
    if (length == 0 || length % cifar_record_bytes != 0)
        fail("{}: {} bytes long, expected a multiple of {}, the length of a CIFAR-10 record", path.string(),
             length, cifar_record_bytes);
    return length / cifar_record_bytes;
}

}  // namespace

PackReport pack_cifar10(const fs::path& folder, const std::string& split, const PackOptions& options) {
    const std::vector<fs::path> paths = cifar_files(folder, split);
    std::size_t total = 0, done = 0;
    for (const fs::path& path : paths) total += cifar_records(path);

    std::vector<fs::path> inputs = cifar_files(folder, "train");
    inputs.insert(inputs.end(), {folder / "test_batch.bin", folder / "batches.meta.txt"});
    require_distinct_outputs(options, "--cifar10", inputs);
    SplitWriter writer(options, cifar_size, cifar_channels, cifar_class_names(folder));
    std::array<std::uint8_t, cifar_record_bytes> record;
    for (const fs::path& path : paths) {
        std::ifstream file(path, std::ios::binary);
        const std::size_t records = cifar_records(path);
        for (std::size_t i = 0; i < records; ++i) {
            if (!file.read(reinterpret_cast<char*>(record.data()), record.size()))
                fail("{}: cannot be read at record {}", path.string(), i);
            if (record[0] >= cifar_classes)
                fail("{}: record {} has label {}, expected 0 to {}", path.string(), i, record[0],
                     cifar_classes - 1);
            writer.add(record.data() + 1, record[0]);
        }
        report_progress(options, done += records, total);
    }
    PackReport report;
    writer.commit(report);
    return report;
}
