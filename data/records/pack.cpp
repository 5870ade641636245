#include "data/records/pack.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "data/images/crop.h"
#include "data/images/image_file.h"
#include "data/records/packed.h"
#include "runtime/base/error.h"
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

    void add(const std::uint8_t* pixels, int label) {
        const std::int64_t number = seen_[static_cast<std::size_t>(label + 1)]++;
        // After n images of a class, n * fraction of them, rounded, are held out.
        const bool hold_out = held_out_by(number + 1) > held_out_by(number);
        (hold_out ? *held_out_ : *packed_).add(pixels, label);
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
    double place;  // within its class, from 0 to 1
};

struct Listing {
    std::vector<std::string> classes;
    std::vector<Source> sources;
};

bool is_hidden(const fs::path& path) {
    return path.filename().native().starts_with('.');
}

bool is_folder(const fs::path& path) {
    std::error_code unreachable;
    return fs::is_directory(path, unreachable);
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (!is_hidden(entry->path())) entries.push_back(entry->path());
    if (error) fail("{}: cannot be listed: {}", folder.string(), error.message());
    std::sort(entries.begin(), entries.end(),
              [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
    return entries;
}

void skip(PackReport& report, std::string what) {
    ++report.skipped;
    if (report.first_skipped.size() < maximum_skipped_named) report.first_skipped.push_back(std::move(what));
}

Listing list_images(const fs::path& folder, PackReport& report) {
    const std::vector<fs::path> entries = sorted_entries(folder);
    Listing listing;
    if (std::none_of(entries.begin(), entries.end(),
                     [](const fs::path& entry) { return is_folder(entry); })) {
        for (const fs::path& entry : entries) listing.sources.push_back({entry, -1, 0});
        return listing;
    }
    for (const fs::path& entry : entries) {
        if (!is_folder(entry)) {
            skip(report, fmt::format("{}: not in a class folder", entry.string()));
            continue;
        }
        const int label = static_cast<int>(listing.classes.size());
        listing.classes.push_back(entry.filename().string());
        const std::vector<fs::path> files = sorted_entries(entry);
        for (std::size_t i = 0; i < files.size(); ++i)
            listing.sources.push_back(
                {files[i], label, (static_cast<double>(i) + 0.5) / static_cast<double>(files.size())});
    }
    std::ranges::stable_sort(listing.sources, {}, &Source::place);
    return listing;
}

struct Decoded {
    std::vector<std::uint8_t> pixels;  // [C, S, S], empty if skipped
    std::string reason;                // why it was skipped
    std::exception_ptr failure;        // anything but a bad image ends the packing
};

Decoded decode(const fs::path& path, int size, int channels) {
    Decoded decoded;
    try {
        std::error_code unreachable;  // a link that leads nowhere is no file either
        if (!fs::is_regular_file(path, unreachable)) fail("{}: not a file", path.string());
        decoded.pixels = planar_pixels(crop_centre(read_image(path, channels), size));
    } catch (const Error& error) {
        decoded.reason = error.what();
    } catch (...) {
        decoded.failure = std::current_exception();
    }
    return decoded;
}

void report_progress(const PackOptions& options, std::size_t done, std::size_t total) {
    if (options.progress) options.progress(static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
}

}  // namespace

fs::path holdout_path(const fs::path& out) {
    fs::path name = out.stem();
    name += ".holdout";
    name += out.extension();
    return out.parent_path() / name;
}

PackReport pack_folder(const fs::path& images, int size, bool grey, const PackOptions& options) {
    PackReport report;
    const Listing listing = list_images(images, report);
    const int channels = grey ? 1 : 3;
    SplitWriter writer(options, size, channels, listing.classes);
    // Enough to keep the threads busy, few enough to hold: 64 MB unless 16 images are more.
    const std::size_t images_at_once = std::clamp<std::size_t>(
        (std::size_t{64} << 20) / static_cast<std::size_t>(channels * size * size), 16, 256);
    const std::size_t total = listing.sources.size();
    std::vector<Decoded> decoded(std::min(images_at_once, total));
    std::size_t packed = 0;
    for (std::size_t first = 0; first < total; first += images_at_once) {
        const std::size_t count = std::min(images_at_once, total - first);
#pragma omp parallel for schedule(dynamic)
        for (std::size_t i = 0; i < count; ++i)
            decoded[i] = decode(listing.sources[first + i].path, size, channels);
        for (std::size_t i = 0; i < count; ++i) {
            if (decoded[i].failure) std::rethrow_exception(decoded[i].failure);
            if (decoded[i].pixels.empty()) {
                skip(report, std::move(decoded[i].reason));
                continue;
            }
            writer.add(decoded[i].pixels.data(), listing.sources[first + i].label);
            ++packed;
        }
        report_progress(options, first + count, total);
    }
    if (packed == 0)
        fail("{}: holds no JPEG or PNG image{}{}", images.string(),
             report.skipped > 0 ? "; the first file skipped is " : "",
             report.skipped > 0 ? report.first_skipped.front() : "");
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
