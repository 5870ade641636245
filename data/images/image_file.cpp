#include "data/images/image_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <span>

#include "data/images/jpeg_segments.h"
#include "data/images/orientation.h"
#include "data/images/png_chunks.h"
#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

// stb_image_write's own compressor leaves 32x32 photographs 30% larger. Filtered rows are small numbers with
// few repetitions, for which zlib has a strategy of its own (as libpng uses it): another 0.8%. The caller
// calls free().
static unsigned char* compress_for_png(unsigned char* bytes, int size, int* compressed_size,
                                       int /*quality*/) {
    constexpr int window_bits = 15, memory_level = 9;
    z_stream stream{};
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, window_bits, memory_level, Z_FILTERED) != Z_OK)
        return nullptr;
    const uLong limit = deflateBound(&stream, static_cast<uLong>(size));
    auto* compressed = static_cast<unsigned char*>(std::malloc(limit));
    stream.next_in = bytes;
    stream.avail_in = static_cast<uInt>(size);
    stream.next_out = compressed;
    stream.avail_out = static_cast<uInt>(limit);
    if (compressed != nullptr && deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        std::free(compressed);
        compressed = nullptr;
    }
    *compressed_size = static_cast<int>(stream.total_out);
    deflateEnd(&stream);
    return compressed;
}

// The decoder may read samples or tables that a damaged JPEG leaves unset: zeros instead of uninitialised
// memory.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(block, size) std::realloc(block, size)
#define STBI_FREE(block) std::free(block)
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS compress_for_png
#include <stb/stb_image_write.h>

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::array<std::uint8_t, 3> jpeg_magic = {0xFF, 0xD8, 0xFF};

template <std::size_t length>
bool starts_with(Bytes bytes, const std::array<std::uint8_t, length>& start) {
    return bytes.size() >= length && std::memcmp(bytes.data(), start.data(), length) == 0;
}

// The whole file, or its first `most` bytes. Looks at the first ones before reading the rest, so that a huge
// file that is no image costs nothing.
std::vector<std::uint8_t> read_image_bytes(const std::string& name,
                                           std::size_t most = std::numeric_limits<std::size_t>::max()) {
    std::error_code error;
    const auto status = std::filesystem::status(name, error);
    // A pipe would be waited for.
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
        fail("{}: not a file", name);
    std::ifstream file(name, std::ios::binary);
    if (!file) fail("{}: cannot be opened: {}", name, std::strerror(errno));
    std::vector<std::uint8_t> bytes(png_magic.size());
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (file.bad()) fail("{}: cannot be read", name);
    bytes.resize(static_cast<std::size_t>(file.gcount()));
    if (bytes.empty()) fail("{}: empty", name);
    if (!starts_with(bytes, png_magic) && !starts_with(bytes, jpeg_magic))
        fail("{}: not a JPEG or PNG", name);

    const std::uintmax_t length = std::filesystem::file_size(name, error);
    if (error) fail("{}: cannot be read: {}", name, error.message());
    if (length > std::uintmax_t{1} << 30) fail("{}: {} bytes long, more than 1 GiB", name, length);
    bytes.resize(std::min(most, std::max<std::size_t>(length, bytes.size())));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (static_cast<std::size_t>(file.gcount()) != bytes.size()) fail("{}: cannot be read to its end", name);
    return bytes;
}

void check_sides(std::uint32_t width, std::uint32_t height, const std::string& name) {
    if (width > maximum_image_side || height > maximum_image_side ||
        std::int64_t{width} * height > maximum_image_pixels)
        fail("{}: {}x{} pixels, expected at most {} a side and {} in all", name, width, height,
             maximum_image_side, maximum_image_pixels);
}

// The decoder takes memory for as many pixels as the header claims before it looks for them. Deflate packs at
// most 1,032 bytes into one, of 8 pixels each at one bit a pixel; a JPEG spends a bit at least on each block
// of 8x8 samples, of which the finest component has one for 16x16 pixels at least.
void check_plausible(std::int64_t pixels, std::size_t bytes, bool is_png, const std::string& name) {
    const std::size_t most = bytes * (is_png ? std::size_t{1032 * 8} : std::size_t{8 * 16 * 16});
    if (static_cast<std::size_t>(pixels) > most)
        fail("{}: damaged: {} bytes cannot hold the {} pixels that its header claims", name, bytes, pixels);
}

// The decoder does not check whether a pixel's colour is in the palette: extended here with black, instead of
// reads of uninitialised memory. Call after check_png_chunks; the chunk's checksum is not updated.
void fill_palette(std::vector<std::uint8_t>& png) {
    constexpr std::size_t whole = 256 * 3;
    const Bytes palette = find_png_chunk(png, "PLTE");
    if (palette.data() == nullptr || palette.size() >= whole || palette.size() % 3 != 0) return;
    const std::ptrdiff_t start = palette.data() - png.data(), end = start + std::ssize(palette);
    png.insert(png.begin() + end, whole - palette.size(), 0);
    // The chunk's length stands before its type, which stands before what it holds.
    png[static_cast<std::size_t>(start) - 6] = whole >> 8;
    png[static_cast<std::size_t>(start) - 5] = whole & 0xFF;
}

void append_bytes(void* destination, void* bytes, int size) {
    const auto* first = static_cast<const std::uint8_t*>(bytes);
    auto& file = *static_cast<std::vector<std::uint8_t>*>(destination);
    file.insert(file.end(), first, first + size);
}

}  // namespace

OrientedImage read_oriented_image(const std::filesystem::path& path, int channels) {
    const std::string name = path.string();
    std::vector<std::uint8_t> bytes = read_image_bytes(name);
    const bool is_png = starts_with(bytes, png_magic);
    // The decoder has its own limit for PNGs, whose message does not state the sides.
    if (is_png && bytes.size() >= 24)
        check_sides(big_endian_u32(&bytes[16]), big_endian_u32(&bytes[20]), name);
    // Before any call of the decoder: for the sides of a JPEG it reads the Huffman tables before them.
    if (is_png) {
        check_png_chunks(bytes, name);
        fill_palette(bytes);
    } else {
        check_jpeg_segments(bytes, name);
    }
    const int length = static_cast<int>(bytes.size());
    OrientedImage result{{}, exif_orientation(bytes)};
    Image& image = result.image;
    image.channels = channels;
    int channels_in_file = 0;
    if (!stbi_info_from_memory(bytes.data(), length, &image.width, &image.height, &channels_in_file))
        fail("{}: damaged or unsupported: {}", name, stbi_failure_reason());
    check_sides(static_cast<std::uint32_t>(image.width), static_cast<std::uint32_t>(image.height), name);
    check_plausible(std::int64_t{image.width} * image.height, bytes.size(), is_png, name);

    const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> decoded(
        stbi_load_from_memory(bytes.data(), length, &image.width, &image.height, &channels_in_file, channels),
        &stbi_image_free);
    if (!decoded) fail("{}: damaged or unsupported: {}", name, stbi_failure_reason());
    const auto samples = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) *
                         static_cast<std::size_t>(channels);
    image.pixels.assign(decoded.get(), decoded.get() + samples);
    return result;
}

Image read_image(const std::filesystem::path& path, int channels) {
    return read_oriented_image(path, channels).image;
}

Image read_upright_image(const std::filesystem::path& path, int channels) {
    OrientedImage read = read_oriented_image(path, channels);
    return read.orientation == 1 ? std::move(read.image) : upright(read.image, read.orientation);
}

ImageSides read_image_sides(const std::filesystem::path& path) {
    const std::string name = path.string();
    constexpr std::size_t usual = 4096;  // more only behind large EXIF segments
    for (const std::size_t most : {usual, std::numeric_limits<std::size_t>::max()}) {
        const std::vector<std::uint8_t> bytes = read_image_bytes(name, most);
        JpegSides sides{};
        if (starts_with(bytes, png_magic)) {
            if (bytes.size() < 24) fail("{}: truncated PNG", name);
            sides = {big_endian_u32(&bytes[16]), big_endian_u32(&bytes[20])};
        } else if (const auto found = find_jpeg_sides(bytes)) {
            sides = *found;
        } else {
            continue;
        }
        check_sides(sides.width, sides.height, name);
        if (sides.width == 0 || sides.height == 0)
            fail("{}: damaged: {}x{} pixels", name, sides.width, sides.height);
        return {static_cast<int>(sides.width), static_cast<int>(sides.height)};
    }
    fail("{}: damaged or unsupported JPEG: no header of a baseline or progressive frame", name);
}

bool starts_like_image(const std::filesystem::path& path) {
    std::error_code unreachable;
    if (!std::filesystem::is_regular_file(path, unreachable)) return false;  // a pipe would be waited for
    std::ifstream file(path, std::ios::binary);
    std::array<std::uint8_t, png_magic.size()> start{};
    file.read(reinterpret_cast<char*>(start.data()), start.size());
    const Bytes bytes(start.data(), static_cast<std::size_t>(file.gcount()));
    return starts_with(bytes, png_magic) || starts_with(bytes, jpeg_magic);
}

std::vector<std::uint8_t> planar_pixels(const Image& image) {
    const auto channels = static_cast<std::size_t>(image.channels);
    const std::size_t plane = image.pixels.size() / channels;
    std::vector<std::uint8_t> planes(image.pixels.size());
    for (std::size_t i = 0; i < planes.size(); ++i)
        planes[i % channels * plane + i / channels] = image.pixels[i];
    return planes;
}

std::vector<std::uint8_t> encode_png(const Image& image) {
    if ((std::int64_t{image.width} * image.channels + 1) * image.height > maximum_png_bytes)
        fail("a picture of {}x{} pixels: too large for a PNG file, which takes at most {} bytes of them",
             image.width, image.height, maximum_png_bytes);
    std::vector<std::uint8_t> file;
    if (!stbi_write_png_to_func(append_bytes, &file, image.width, image.height, image.channels,
                                image.pixels.data(), image.width * image.channels))
        throw std::bad_alloc();
    return file;
}

void write_png(const std::filesystem::path& path, const Image& image) {
    const std::vector<std::uint8_t> bytes = encode_png(image);
    AtomicFile file(path);
    file.write(bytes.data(), bytes.size());
    file.commit();
}
