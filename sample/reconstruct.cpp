// `build/sample reconstruct`: pictures, what a tokenizer makes of them, and what it makes of that.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "data/images/crop.h"
#include "data/images/sheet.h"
#include "data/records/packed.h"
#include "models/metrics/reconstruction.h"
#include "models/nat/image_codec.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/output_file.h"
#include "sample/jobs.h"

namespace {

struct ReconstructJob {
    std::string tokenizer, picture, data, out;
    int size = 0;
    std::int64_t first = 0, count = 8, batch = 16;
    BackendFlags backend;
};

// Pictures [n, channels, size, size].
struct Pictures {
    std::int64_t size = 0;
    std::vector<std::uint8_t> pixels;
};

Pictures one_picture(const ReconstructJob& job, const TokenizerMetadata& metadata) {
    const Image image = read_upright_image(job.picture, static_cast<int>(metadata.config.in_channels));
    int size = job.size > 0 ? job.size : static_cast<int>(metadata.image_size);
    if (size == 0) size = std::min(image.width, image.height);
    return {size, planar_pixels(crop_centre(image, size))};
}

Pictures packed_pictures(const ReconstructJob& job, const TokenizerConfig& config) {
    const PackedFile file(job.data);
    if (file.channels() != config.in_channels)
        fail("{}: images of {} channels, expected {} as the tokenizer {} takes them", job.data,
             file.channels(), config.in_channels, job.tokenizer);
    if (job.first >= file.count())
        fail_usage("--first {}: {} has {} images", job.first, job.data, file.count());
    Pictures pictures{file.size(), {}};
    const std::int64_t end = std::min(file.count(), job.first + job.count);
    for (std::int64_t i = job.first; i < end; ++i)
        pictures.pixels.insert(pictures.pixels.end(), file.pixels(i), file.pixels(i) + file.record_bytes());
    return pictures;
}

// A colour for each code: neighbours in the codebook get hues a golden section of the circle apart and three
// brightnesses in turn.
std::array<std::uint8_t, 3> code_colour(std::int32_t code) {
    const double hue = std::fmod(static_cast<double>(code) * 0.6180339887498949, 1.0) * 6,
                 value = 1 - 0.2 * (code % 3);
    std::array<std::uint8_t, 3> colour{};
    for (int c = 0; c < 3; ++c) {
        const double distance = std::fabs(std::fmod(hue + 2.0 * (3 - c), 6.0) - 3) - 1;
        colour[static_cast<std::size_t>(c)] =
            static_cast<std::uint8_t>(std::lround(255 * value * std::clamp(distance, 0.15, 1.0)));
    }
    return colour;
}

// The tokens of one picture as coloured squares, [channels, size, size]; grey pictures get the colour's red.
void draw_tokens(std::uint8_t* to, const std::int32_t* codes, std::int64_t channels, std::int64_t size,
                 std::int64_t side) {
    const std::int64_t f = size / side;
    for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t y = 0; y < size; ++y)
            for (std::int64_t x = 0; x < size; ++x)
                to[(c * size + y) * size + x] =
                    code_colour(codes[y / f * side + x / f])[static_cast<std::size_t>(c)];
}

// A picture, its tokens, its reconstruction, and so on, in up to sixteen rows; the first of them only.
Image side_by_side(const Pictures& pictures, const std::vector<std::int32_t>& codes,
                   const std::vector<std::uint8_t>& drawn, std::int64_t channels, const ImageCodec& codec) {
    constexpr std::size_t most_shown = 64, rows = 16;
    const auto bytes = static_cast<std::size_t>(channels * pictures.size * pictures.size),
               n = std::min(most_shown, drawn.size() / bytes);
    std::vector<std::uint8_t> all(3 * n * bytes);
    for (std::size_t i = 0; i < n; ++i) {
        std::uint8_t* row = all.data() + 3 * i * bytes;
        std::copy_n(pictures.pixels.data() + i * bytes, bytes, row);
        draw_tokens(row + bytes, codes.data() + i * static_cast<std::size_t>(codec.tokens()), channels,
                    pictures.size, codec.side());
        std::copy_n(drawn.data() + i * bytes, bytes, row + 2 * bytes);
    }
    return image_sheet(all, static_cast<int>(channels), static_cast<int>(pictures.size),
                       static_cast<int>(3 * ((n + rows - 1) / rows)));
}

void run_job(const ReconstructJob& job) {
    if (job.picture.empty() == job.data.empty()) fail_usage("give either --image or --data");
    require_distinct({"--out", job.out},
                     std::vector<NamedPath>{
                         {"--tokenizer", job.tokenizer}, {"--image", job.picture}, {"--data", job.data}});
    require_writable(job.out);
    const Backend backend = job.backend.backend();
    const auto opened = open_tensor_file(job.tokenizer);
    const TokenizerMetadata metadata = read_tokenizer_metadata(*opened);
    const TokenizerConfig& config = metadata.config;
    const std::string& source = job.picture.empty() ? job.data : job.picture;
    const Pictures pictures = job.picture.empty() ? packed_pictures(job, config) : one_picture(job, metadata);
    const auto tokenizer = load_tokenizer(*opened, backend);
    const auto n = static_cast<std::int64_t>(pictures.pixels.size()) /
                   (config.in_channels * pictures.size * pictures.size);
    ImageCodec codec(*tokenizer, pictures.size, std::min(n, job.batch), source);
    const std::vector<std::int32_t> codes = codec.encode(pictures.pixels);
    const std::vector<std::uint8_t> drawn = codec.decode(codes);
    write_png(job.out, side_by_side(pictures, codes, drawn, config.in_channels, codec));

    const ReconstructionQuality quality =
        reconstruction_quality(pictures.pixels, drawn, config.in_channels, pictures.size);
    fmt::print("{}: {} {} of {}x{}, {} tokens each, perplexity {:.1f}, PSNR {:.2f} dB{}\n", job.out, n,
               n == 1 ? "picture" : "pictures", pictures.size, pictures.size, codec.tokens(),
               codebook_perplexity(code_counts(codes, config.n_embed)), quality.psnr,
               pictures.size >= similarity_window ? fmt::format(", SSIM {:.4f}", quality.ssim) : "");
}

}  // namespace

void add_reconstruct_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("reconstruct",
                           "Show what a tokenizer keeps of pictures: them, their tokens, and "
                           "the pictures decoded from these");
    const auto job = std::make_shared<ReconstructJob>();
    command->add_option("--tokenizer", job->tokenizer, "Checkpoint of a tokenizer, or a published .pth")
        ->required()
        ->type_name("FILE");
    Option* picture =
        command->add_option("--image", job->picture, "JPEG or PNG file, turned as its EXIF orientation says")
            ->type_name("FILE");
    Option* data =
        command->add_option("--data", job->data, "Packed file to take pictures from")->type_name("FILE");
    picture->excludes(data);
    command
        ->add_option(
            "--size", job->size,
            "Side in pixels that the image's centre is brought to, divisible by the pixels of a token "
            "(default: what the tokenizer was trained on, or the image's shorter side)")
        ->check(within(1, 8192))
        ->needs(picture);
    command->add_option("--first", job->first, "Number of the first picture of the packed file")
        ->capture_default_str()
        ->check(at_least(0))
        ->needs(data);
    command->add_option("--count", job->count, "Pictures of the packed file; the first 64 are shown")
        ->capture_default_str()
        ->check(at_least(1))
        ->needs(data);
    command->add_option("--batch", job->batch, "Pictures at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    command
        ->add_option("--out", job->out,
                     "PNG file: each picture, its tokens and its reconstruction side by side")
        ->required()
        ->type_name("FILE");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
