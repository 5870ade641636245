// The jobs of build/data that need no model: they create packed files and describe them, and turn captions
// into ids.
#include "data/jobs.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "data/charts/captioned_sheet.h"
#include "data/fractals/fractal_caption.h"
#include "data/fractals/fractals.h"
#include "data/images/image_file.h"
#include "data/images/sheet.h"
#include "data/records/baselines.h"
#include "data/records/class_names.h"
#include "data/records/degrade.h"
#include "data/records/live_progress.h"
#include "data/records/pack.h"
#include "data/records/packed.h"
#include "data/text/tokenize.h"
#include "kernels/common/threads.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/one_line.h"
#include "runtime/base/report.h"
#include "runtime/files/output_file.h"

namespace {

struct PackArguments {
    std::string images, cifar10, split, out, captions, crop = "adm";
    int size = 0;
    double holdout = 0.0;
    bool grey = false, exif = false, captioned = false;
};

// On stderr: how many, and the first of them.
void print_named(const std::string& headline, const NamedFiles& files) {
    if (files.count == 0) return;
    fmt::print(stderr, "{}:\n", headline);
    for (const std::string& what : files.first) fmt::print(stderr, "  {}\n", one_line(what));
    if (files.count > static_cast<std::int64_t>(files.first.size())) fmt::print(stderr, "  ...\n");
}

std::string counted(std::int64_t count, const char* thing) {
    return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

void run_pack(const PackArguments& arguments) {
    if (arguments.images.empty() == arguments.cifar10.empty())
        fail_usage("give either --images or --cifar10");
    if (!(arguments.holdout >= 0.0 && arguments.holdout < 1.0))
        fail_usage("--holdout {}: expected a fraction from 0 to below 1", arguments.holdout);
    PackOptions options{.out = arguments.out,
                        .holdout = arguments.holdout,
                        .progress = show_progress("packed"),
                        .exif = arguments.exif,
                        .crop = arguments.crop == "coco" ? CropRule::coco : CropRule::adm};
    if (arguments.captioned) options.captions = arguments.captions;
    PackReport report;
    if (!arguments.images.empty()) {
        if (arguments.size == 0) fail_usage("--images needs --size, the side of the packed images in pixels");
        report = pack_folder(arguments.images, arguments.size, arguments.grey, options);
    } else {
        if (arguments.split.empty()) fail_usage("--cifar10 needs --split train or --split test");
        report = pack_cifar10(arguments.cifar10, arguments.split, options);
    }
    print_named("skipped " + counted(report.skipped.count, "file"), report.skipped);
    print_named(counted(report.without_captions.count, "image") + " without captions",
                report.without_captions);
    print_named(arguments.captions.empty()
                    ? counted(report.without_picture.count, "file") + " of captions without a picture"
                    : fmt::format("captions for {} not in the folder",
                                  counted(report.without_picture.count, "picture")),
                report.without_picture);
    for (const std::string& name : report.empty_classes)
        fmt::print(stderr, "class {}: no images\n", one_line(name));
    fmt::print("{}: {} images\n", arguments.out, report.packed);
    const auto beside = holdout_path(arguments.out);
    if (!arguments.images.empty() && arguments.holdout == 0.0 && std::filesystem::exists(beside))
        report_line("data", fmt::format("{} lies beside it, from another packing: if its images are among "
                                        "these, measuring on it means nothing (make train would)",
                                        beside.string()));
    if (arguments.holdout > 0.0)
        fmt::print("{}: {} images\n", holdout_path(arguments.out).string(), report.held_out);
    if (arguments.captioned) fmt::print("{}\n", counted(report.captions, "caption"));
    if (!report.only_class.empty())
        report_line("data", fmt::format("one class, {}, of all the folders in it; if these are the classes, "
                                        "give --images {}",
                                        report.only_class.filename().string(), report.only_class.string()));
    if (report.turned > 0)
        report_line("data",
                    arguments.exif
                        ? fmt::format("{} images turned as their EXIF orientation says", report.turned)
                        : fmt::format("{} images have an EXIF orientation and were packed as they lie "
                                      "in their files; --exif turns them as viewers show them",
                                      report.turned));
}

void add_pack(CommandLine& app) {
    CommandLine* job = app.add_subcommand("pack", "Pack a folder of images or CIFAR-10's binary files");
    auto arguments = std::make_shared<PackArguments>();
    Option* images = job->add_option(
        "--images", arguments->images,
        "Folder with one folder of JPEG and PNG files per class (the folders' names, sorted, "
        "are the classes; folders in them are searched to any depth), "
        "or with the files themselves (no labels); names starting with a dot and __MACOSX are "
        "ignored");
    Option* size = job->add_option("--size", arguments->size,
                                   "Side of the packed images in pixels: each is shrunk or enlarged to this "
                                   "short side, and its centre is cut out")
                       ->check(within(1, packed_maximum_size));
    Option* grey = job->add_flag("--grey", arguments->grey, "One channel instead of red, green and blue");
    Option* exif = job->add_flag(
        "--exif", arguments->exif,
        "Turn photographs as their EXIF orientation says (default: as they lie in their files, as both crops "
        "take them)");
    Option* cifar10 =
        job->add_option("--cifar10", arguments->cifar10,
                        "Folder with CIFAR-10's data_batch_1.bin to data_batch_5.bin and test_batch.bin");
    Option* split = job->add_option("--split", arguments->split, "Which of CIFAR-10's splits: train or test")
                        ->check(one_of({"train", "test"}));
    Option* crop =
        job->add_option(
               "--crop", arguments->crop,
               "adm: halved by a box filter, brought to the short side by a bicubic one, the centre cut "
               "out, which is CC3M's crop as well; coco: the middle square brought to the size by a "
               "Lanczos filter, as for MS-COCO")
            ->check(one_of({"adm", "coco"}))
            ->capture_default_str();
    Option* captions = job->add_option(
        "--captions", arguments->captions,
        "Captions of the pictures. Without a value: one a line in NAME.txt beside NAME.jpg or NAME.png. Else "
        "a "
        "file: MS-COCO's captions_*.json, or lines of a picture's path in the folder, a tab and a caption");
    captions->expected(0, 1)->type_name("[FILE]");
    job->add_option("--out", arguments->out, "Packed file to write")->required()->type_name("FILE");
    job->add_option(
        "--holdout", arguments->holdout,
        "Fraction of each class, from 0 to below 1, that goes into a second file instead: every so many-th "
        "image, the same ones each time. That file is named like --out with .holdout before the "
        "extension: cifar.bin and cifar.holdout.bin");
    for (Option* folder : {images, cifar10}) folder->type_name("DIR");
    for (Option* option : {size, grey, exif, crop, captions}) option->needs(images);
    split->needs(cifar10);
    images->excludes(cifar10);
    job->callback([arguments, captions] {
        arguments->captioned = captions->count() > 0;
        run_pack(*arguments);
    });
}

struct FractalArguments {
    std::string out, colours = "own", combinations = "all", labels = "class";
    int size = 32;
    std::int64_t count = 50'000;
    std::uint64_t seed = 0, first = 0;
    bool captions = false;
};

struct FractalPicture {
    std::uint64_t index;
    int class_index;
    std::vector<std::uint8_t> pixels;
    std::vector<std::string> captions;
};

// Whether a picture is of the combinations of class and palette that are asked for.
bool is_wanted(const FractalArguments& arguments, int class_index, std::uint64_t index) {
    if (arguments.combinations == "all") return true;
    const int palette = fractal_palette(class_index, arguments.seed, index);
    return is_unseen_combination(class_index, palette) == (arguments.combinations == "unseen");
}

void draw(FractalPicture& picture, const FractalArguments& arguments) {
    const auto colours = arguments.colours == "any" ? FractalColours::any : FractalColours::own;
    draw_fractal(picture.pixels.data(), arguments.size, picture.class_index, arguments.seed, picture.index,
                 colours);
    if (!arguments.captions) return;
    const auto captions =
        fractal_captions(describe_fractal(picture.class_index, arguments.seed, picture.index, colours),
                         arguments.seed, picture.index);
    picture.captions.assign(captions.begin(), captions.end());
}

std::vector<std::string> label_names(bool by_palette) {
    if (!by_palette) return {fractal_class_names().begin(), fractal_class_names().end()};
    std::vector<std::string> names;
    for (int palette = 0; palette < fractal_palette_count; ++palette)
        names.emplace_back(fractal_palette_name(palette));
    return names;
}

void run_fractals(const FractalArguments& arguments) {
    if (arguments.combinations != "all" && arguments.colours != "any")
        fail_usage("--combinations {} needs --colours any", arguments.combinations);
    const bool by_palette = arguments.labels == "palette";
    if (by_palette && arguments.colours != "any") fail_usage("--labels palette needs --colours any");
    PackedWriter writer(arguments.out, arguments.size, 3, label_names(by_palette));
    const PackProgress progress = show_progress("drew");
    const std::int64_t record_bytes = std::int64_t{3} * arguments.size * arguments.size;
    const std::int64_t pictures_at_once =
        std::clamp<std::int64_t>((std::int64_t{64} << 20) / record_bytes, 16, 256);
    std::vector<FractalPicture> pictures(static_cast<std::size_t>(pictures_at_once));
    for (FractalPicture& picture : pictures) picture.pixels.resize(static_cast<std::size_t>(record_bytes));
    std::uint64_t index = arguments.first;
    while (writer.count() < arguments.count) {
        const std::int64_t count = std::min(pictures_at_once, arguments.count - writer.count());
        for (std::int64_t i = 0; i < count; ++index) {
            const int class_index = static_cast<int>(index % fractal_classes);
            if (!is_wanted(arguments, class_index, index)) continue;
            FractalPicture& picture = pictures[static_cast<std::size_t>(i++)];
            picture.index = index;
            picture.class_index = class_index;
        }
        cpu::share_each(count, 1,
                        [&](std::int64_t i) { draw(pictures[static_cast<std::size_t>(i)], arguments); });
        for (std::int64_t i = 0; i < count; ++i) {
            const FractalPicture& picture = pictures[static_cast<std::size_t>(i)];
            const int label = by_palette ? fractal_palette(picture.class_index, arguments.seed, picture.index)
                                         : picture.class_index;
            writer.add(picture.pixels.data(), label, picture.captions);
        }
        progress(writer.count(), arguments.count);
    }
    writer.commit();
    fmt::print("{}: {} images\n", arguments.out, arguments.count);
    if (arguments.combinations != "all")
        fmt::print("numbers {} to {}: a set that shares none of them starts with --first {}\n",
                   arguments.first, index - 1, index);
}

void add_fractals(CommandLine& app) {
    CommandLine* job = app.add_subcommand("fractals", "Draw the built-in data set: ten classes of fractals");
    auto arguments = std::make_shared<FractalArguments>();
    job->add_option("--out", arguments->out, "Packed file to write")->required()->type_name("FILE");
    job->add_option("--size", arguments->size, "Side of the images in pixels")
        ->check(within(1, 1024))
        ->capture_default_str();
    job->add_option("--count", arguments->count, "Number of images")
        ->check(at_least(1))
        ->capture_default_str();
    job->add_option("--seed", arguments->seed, "Another seed, another data set")
        ->capture_default_str()
        ->check(any_seed());
    job->add_option(
           "--first", arguments->first,
           "Index of the first image; image i has class i modulo 10. A test set that shares no image with "
           "the training set starts where that one ends")
        ->check(within(0, std::int64_t{1} << 62))
        ->capture_default_str();
    job->add_flag("--captions", arguments->captions,
                  "Three captions of each image, which say more and more of what was drawn");
    Option* colours =
        job->add_option(
               "--colours", arguments->colours,
               "own: each class in its own colours; any: each image in one of ten palettes, red to grey, "
               "whatever its class, so that captions decide on colours")
            ->check(one_of({"own", "any"}))
            ->capture_default_str();
    job->add_option("--labels", arguments->labels,
                    "Label of an image: its class or, with --colours any, its palette")
        ->check(one_of({"class", "palette"}))
        ->capture_default_str();
    job->add_option("--combinations", arguments->combinations,
                    "Of class and palette, with --colours any. seen: without those that are set apart, two "
                    "palettes of each class; unseen: these alone")
        ->check(one_of({"all", "seen", "unseen"}))
        ->capture_default_str()
        ->needs(colours);
    job->callback([arguments] { run_fractals(*arguments); });
}

struct InfoArguments {
    std::string file, sheet;
    bool baselines = false;
    std::int64_t limit = std::numeric_limits<std::int64_t>::max();
};

// One class a row, ten of its first images side by side, white where a class has fewer; without labels the
// first images in reading order. Captions are under their images.
Image sheet_of(const PackedFile& file) {
    constexpr int columns = 10, unlabelled_rows = 10, maximum_height = 16'384;
    const bool labelled = !file.classes().empty();
    const std::int64_t wanted =
        labelled ? static_cast<std::int64_t>(file.classes().size())
                 : std::min<std::int64_t>(unlabelled_rows, (file.count() + columns - 1) / columns);
    const int pitch =
        file.has_captions() ? captioned_sheet_pitch(file.size()) : image_sheet_pitch(file.size());
    const std::int64_t rows = std::clamp<std::int64_t>(maximum_height / pitch, 1, wanted);

    constexpr std::uint8_t white = 255;
    std::vector<std::uint8_t> images(static_cast<std::size_t>(rows * columns * file.record_bytes()), white);
    std::vector<std::vector<std::string>> captions(static_cast<std::size_t>(rows * columns));
    std::vector<std::int64_t> placed(static_cast<std::size_t>(rows));
    for (std::int64_t i = 0; i < file.count(); ++i) {
        const std::int64_t row = labelled ? file.label(i) : i / columns;
        if (row < 0 || row >= rows || placed[static_cast<std::size_t>(row)] == columns) continue;
        const std::int64_t place = row * columns + placed[static_cast<std::size_t>(row)]++;
        std::copy_n(file.pixels(i), file.record_bytes(), images.data() + place * file.record_bytes());
        captions[static_cast<std::size_t>(place)] = captions_of(file, i);
    }
    if (file.has_captions()) return captioned_sheet(images, file.channels(), file.size(), columns, captions);
    return image_sheet(images, file.channels(), file.size(), columns);
}

// How many, and those of the first images that have any.
void print_captions(const PackedFile& file) {
    constexpr std::int64_t images_shown = 3;
    std::int64_t captioned = 0;
    for (std::int64_t i = 0; i < file.count(); ++i) captioned += file.captions(i) > 0;
    fmt::print("{} of {} images\n", counted(file.caption_count(), "caption"), captioned);
    std::int64_t shown = 0;
    for (std::int64_t i = 0; i < file.count() && shown < images_shown; ++i) {
        if (file.captions(i) == 0) continue;
        ++shown;
        for (std::int64_t k = 0; k < file.captions(i); ++k)
            fmt::print("{:>6}  {}\n", k == 0 ? std::to_string(i) : "", one_line(file.caption(i, k)));
    }
}

void run_info(const InfoArguments& arguments) {
    require_distinct({"--sheet", arguments.sheet}, std::vector<NamedPath>{{"FILE", arguments.file}});
    const PackedFile file(arguments.file);
    file.verify();
    fmt::print("{}: {} images, {} x {} x {} bytes (channels, height, width), {} classes, checksums hold\n",
               arguments.file, file.count(), file.channels(), file.size(), file.size(),
               file.classes().size());
    std::vector<std::int64_t> counts(file.classes().size() + 1);
    for (std::int64_t i = 0; i < file.count(); ++i) ++counts[static_cast<std::size_t>(file.label(i) + 1)];
    for (std::size_t i = 0; i < file.classes().size(); ++i)
        fmt::print("{:6} {:10} images  {}\n", i, counts[i + 1], one_line(file.classes()[i]));
    if (counts[0] > 0) fmt::print("{:6} {:10} images  without label\n", "", counts[0]);
    if (file.has_captions()) print_captions(file);
    if (arguments.baselines) {
        const Baselines baselines = measure_baselines(file, arguments.limit);
        fmt::print("bits per dimension over {} images: entropy {:.3f}, PNG {:.3f}, lossless WebP {:.3f}\n",
                   baselines.images, baselines.entropy, baselines.png, baselines.webp);
    }
    if (!arguments.sheet.empty()) write_png(arguments.sheet, sheet_of(file));
}

void add_info(CommandLine& app) {
    CommandLine* job = app.add_subcommand("info", "Check a packed file and show what is in it");
    auto arguments = std::make_shared<InfoArguments>();
    job->add_option("FILE", arguments->file, "Packed file")->required()->type_name("");
    Option* baselines = job->add_flag(
        "--baselines", arguments->baselines,
        "Bits per dimension of simple codes: entropy of the bytes channel by channel, PNG, lossless WebP");
    job->add_option("--limit", arguments->limit,
                    "Measure the baselines of the first so many images (default: all)")
        ->check(at_least(1))
        ->needs(baselines);
    job->add_option(
           "--sheet", arguments->sheet,
           "PNG file to write: ten images of each class, one class a row, with their captions, as many rows "
           "as fit 16,384 pixels")
        ->type_name("FILE");
    job->callback([arguments] { run_info(*arguments); });
}

struct DegradeArguments {
    std::string data, out, without;
    Degradation how;
};

void run_degrade(DegradeArguments arguments) {
    require_distinct({"--out", arguments.out}, std::vector<NamedPath>{{"--data", arguments.data}});
    if (!arguments.without.empty()) {
        const PackedFile file(arguments.data);
        arguments.how.without = class_number(
            "--without", arguments.without, static_cast<std::int64_t>(file.classes().size()), file.classes());
    }
    degrade(arguments.data, arguments.out, arguments.how, show_progress("degraded"));
    fmt::print("{}: {} images\n", arguments.out, PackedFile(arguments.out).count());
}

void add_degrade(CommandLine& app) {
    CommandLine* job = app.add_subcommand(
        "degrade", "Make packed images worse on purpose: what a measure of quality has to notice");
    auto arguments = std::make_shared<DegradeArguments>();
    job->add_option("--data", arguments->data, "Packed file")->required()->type_name("FILE");
    job->add_option("--out", arguments->out, "Packed file to write")->required()->type_name("FILE");
    job->add_option("--blur", arguments->how.blur, "Standard deviation of a Gaussian blur in pixels")
        ->check(above_zero());
    job->add_option("--noise", arguments->how.noise,
                    "Standard deviation of normal noise, in values of 0 to 255")
        ->check(above_zero());
    job->add_option("--without", arguments->without, "Class to leave out, by name or number")
        ->type_name("CLASS");
    job->add_flag("--repeat", arguments->how.repeats, "Every image is the first one");
    job->add_option("--seed", arguments->how.seed, "Of the noise")->capture_default_str()->check(any_seed());
    job->callback([arguments] { run_degrade(*arguments); });
}

void add_tokenize(CommandLine& app) {
    CommandLine* job =
        app.add_subcommand("tokenize", "Turn captions into the ids that CLIP's text encoders take");
    auto settings = std::make_shared<TokenizeSettings>();
    job->add_option("--text", settings->text, "One caption, UTF-8")->type_name("TEXT")->takes_text();
    job->add_option("--file", settings->file, "Captions, UTF-8, one a line")->type_name("FILE");
    job->add_option(
           "--variant", settings->variant,
           "Tokenizer: openai; open_clip, of OpenCLIP's models, which spells start and end in the "
           "text otherwise; hf, of transformers, which pads with the end and reads fewer HTML entities")
        ->check(one_of({"openai", "open_clip", "hf"}))
        ->capture_default_str();
    job->add_flag("--pad", settings->pad, "Pad to 77 ids, the length that the encoders take");
    job->add_flag("--json", settings->json,
                  "Print an object with text, ids and clean, the text as it is split; of a file, an array");
    job->callback([settings] { run_tokenize(*settings); });
}

}  // namespace

void add_data_jobs(CommandLine& app) {
    add_pack(app);
    add_fractals(app);
    add_info(app);
    add_degrade(app);
    add_tokenize(app);
}
