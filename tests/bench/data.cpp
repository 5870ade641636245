// The data pipeline: JPEG files to packed records, and records to batches. Training waits for neither:
// packing happens once, and loading must be far faster than a step.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include "data/fractals/fractals.h"
#include "data/records/loader.h"
#include "data/records/pack.h"
#include "runtime/files/atomic_file.h"
#include "tests/bench/table.h"
#include "tests/unit/temporary_folder.h"

namespace {

constexpr int width = 500, height = 375, packed_size = 64;

// A fractal of the set, with grain so that the file is as large as a photograph's of this size; interleaved.
std::vector<std::uint8_t> grainy_picture(int number) {
    constexpr std::size_t plane = std::size_t{width} * width;
    std::vector<std::uint8_t> planes(3 * plane), pixels;
    draw_fractal(planes.data(), width, number % fractal_classes, 0, static_cast<std::uint64_t>(number));
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < std::size_t{width} * height; ++i) {
        state = state * 1664525u + 1013904223u;
        const int grain = static_cast<int>(state >> 27) - 16;
        for (std::size_t c = 0; c < 3; ++c)
            pixels.push_back(static_cast<std::uint8_t>(std::clamp(planes[c * plane + i] + grain, 0, 255)));
    }
    return pixels;
}

std::uintmax_t write_jpeg(const std::filesystem::path& path, const std::vector<std::uint8_t>& pixels) {
    constexpr int quality = 90;
    AtomicFile file(path);
    const auto append = [](void* to, void* data, int bytes) {
        static_cast<AtomicFile*>(to)->write(
            {static_cast<const char*>(data), static_cast<std::size_t>(bytes)});
    };
    stbi_write_jpg_to_func(append, &file, width, height, 3, pixels.data(), quality);
    file.commit();
    return std::filesystem::file_size(path);
}

void bench_packing(Table& table, const TemporaryFolder& folder) {
    const int count = table.effort().smoke ? 2 : 96;
    std::filesystem::create_directory(folder / "images");
    std::uintmax_t bytes = 0;
    for (int i = 0; i < count; ++i)
        bytes += write_jpeg(folder / "images" / fmt::format("{}.jpg", i), grainy_picture(i));
    PackOptions options;
    options.out = folder / "packed.bin";
    table.pipeline(fmt::format("packing, JPEG files of {}x{} ({} kB) to {}x{}", width, height,
                               bytes / static_cast<std::uintmax_t>(1000 * count), packed_size, packed_size),
                   count, [&] { pack_folder(folder / "images", packed_size, false, options); });
}

void bench_loading(Table& table, const TemporaryFolder& folder) {
    const std::int64_t count = table.effort().smoke ? 8 : 20000, batch = table.effort().smoke ? 4 : 32;
    constexpr int size = 32;
    PackedWriter writer(folder / "loaded.bin", size, 3, {});
    std::vector<std::uint8_t> pixels(3 * size * size);
    for (std::int64_t i = 0; i < count; ++i) {
        std::ranges::fill(pixels, static_cast<std::uint8_t>(i));
        writer.add(pixels.data(), -1);
    }
    writer.commit();
    const PackedFile file(folder / "loaded.bin");
    Loader loader(file, batch, 0, true, 0);
    table.pipeline(fmt::format("loading, batches of {} of {}x{}, mirrored at random", batch, size, size),
                   static_cast<double>(count), [&] {
                       for (std::int64_t first = 0; first < count; first += batch) loader.next();
                   });
}

}  // namespace

void bench_data(Table& table) {
    const TemporaryFolder folder;
    if (table.wants("packing")) bench_packing(table, folder);
    if (table.wants("loading")) bench_loading(table, folder);
}
