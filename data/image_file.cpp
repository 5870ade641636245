#include "data/image_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <numeric>
#include <span>

#include "runtime/atomic_file.h"
#include "runtime/error.h"

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

constexpr std::array<std::uint8_t, 8> png_magic = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
constexpr std::array<std::uint8_t, 3> jpeg_magic = {0xFF, 0xD8, 0xFF};

template <std::size_t length>
bool starts_with(Bytes bytes, const std::array<std::uint8_t, length>& start) {
    return bytes.size() >= length && std::memcmp(bytes.data(), start.data(), length) == 0;
}

std::uint32_t big_endian_u32(const std::uint8_t* bytes) {
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
           bytes[3];
}

// Looks at the first bytes before reading the rest, so that a huge file that is no image costs nothing.
std::vector<std::uint8_t> read_image_bytes(const std::string& name) {
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
    bytes.resize(std::max<std::size_t>(length, bytes.size()));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (static_cast<std::size_t>(file.gcount()) != bytes.size()) fail("{}: cannot be read to its end", name);
    return bytes;
}

// The decoder's tables hold 256 codes, and it does not look whether a file has more. A segment: tables of one
// byte, the number of codes of each length from 1 to 16, and a byte for each code; ITU-T T.81, B.2.4.2.
void check_huffman_tables(Bytes segment, const std::string& name) {
    constexpr std::size_t start = 17, maximum_codes = 256;
    while (!segment.empty()) {
        if (segment.size() < start) fail("{}: damaged JPEG: a Huffman table is cut off", name);
        const std::size_t codes = std::accumulate(&segment[1], &segment[1] + start - 1, std::size_t{0});
        if (codes > std::min(maximum_codes, segment.size() - start))
            fail("{}: damaged JPEG: a Huffman table of {} codes, expected at most {}", name, codes,
                 std::min(maximum_codes, segment.size() - start));
        segment = segment.subspan(start + codes);
    }
}

// Four channels are CMYK or YCCK, each stored inverted, as far as a segment of Adobe's says so (its last byte
// is 0 or 2); without one the decoder would take the first three for YCbCr, and programs differ in what they
// make of such a file.
class FourChannels {
  public:
    void see(std::uint8_t marker, Bytes segment) {
        constexpr std::uint8_t baseline = 0xC0, progressive = 0xC2, adobe = 0xEE;
        if (marker >= baseline && marker <= progressive && segment.size() >= 6) four_ = segment[5] == 4;
        if (marker == adobe && segment.size() >= 12 && std::memcmp(segment.data(), "Adobe", 5) == 0)
            said_ = segment[11] == 0 || segment[11] == 2;
    }
    void check(const std::string& name) const {
        if (four_ && !said_)
            fail(
                "{}: a JPEG of four channels that does not say which colours they are, expected one marked "
                "as CMYK or YCCK by Adobe's segment",
                name);
    }

  private:
    bool four_ = false, said_ = false;
};

// Goes from marker to marker up to the end-of-image marker, since what the decoder makes of a file without
// one differs from file to file. Markers: ITU-T T.81, B.1.1.
void check_jpeg_segments(Bytes bytes, const std::string& name) {
    std::size_t position = jpeg_magic.size() - 1;
    FourChannels four_channels;
    while (position + 1 < bytes.size()) {
        const std::uint8_t marker = bytes[position + 1];
        // Outside a segment everything up to the next marker is passed over: compressed samples, in which
        // 0xFF is followed by 0 or a restart marker, and fill bytes.
        const bool is_marker = bytes[position] == 0xFF && marker != 0x00 && marker != 0xFF;
        const bool is_restart = marker >= 0xD0 && marker <= 0xD7;
        if (!is_marker || is_restart) {
            ++position;
            continue;
        }
        constexpr std::uint8_t end_of_image = 0xD9, huffman_tables = 0xC4;
        if (marker == end_of_image) return four_channels.check(name);
        if (position + 3 >= bytes.size()) break;
        const auto length = static_cast<std::size_t>(bytes[position + 2] << 8 | bytes[position + 3]);
        position += 2;
        if (length >= 2 && length <= bytes.size() - position) {
            const Bytes segment = bytes.subspan(position + 2, length - 2);
            if (marker == huffman_tables) check_huffman_tables(segment, name);
            four_channels.see(marker, segment);
        }
        position += length;
    }
    fail("{}: truncated JPEG", name);
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

// The decoder ignores the chunks' checksums. Chunks: PNG specification, section 5.3.
void check_png_chunks(Bytes bytes, const std::string& name) {
    std::size_t position = png_magic.size();
    while (true) {
        if (bytes.size() - position < 12) fail("{}: truncated PNG", name);
        const std::size_t length = big_endian_u32(&bytes[position]);
        if (bytes.size() - position - 12 < length) fail("{}: truncated PNG", name);
        const std::uint8_t* type = &bytes[position + 4];
        if (crc32_z(0, type, length + 4) != big_endian_u32(type + 4 + length))
            fail("{}: damaged PNG: the chunk at byte {} differs from its checksum", name, position);
        if (std::memcmp(type, "IEND", 4) == 0) return;
        position += length + 12;
    }
}

void append_bytes(void* destination, void* bytes, int size) {
    const auto* first = static_cast<const std::uint8_t*>(bytes);
    auto& file = *static_cast<std::vector<std::uint8_t>*>(destination);
    file.insert(file.end(), first, first + size);
}

}  // namespace

Image read_image(const std::filesystem::path& path, int channels) {
    const std::string name = path.string();
    const std::vector<std::uint8_t> bytes = read_image_bytes(name);
    const int length = static_cast<int>(bytes.size());
    const bool is_png = starts_with(bytes, png_magic);
    // The decoder has a limit of its own for PNGs, and says nothing about the sides when it is met.
    if (is_png && bytes.size() >= 24)
        check_sides(big_endian_u32(&bytes[16]), big_endian_u32(&bytes[20]), name);
    // Before the decoder sees any of it: to tell the sides of a JPEG it reads the Huffman tables in front of
    // them.
    if (is_png)
        check_png_chunks(bytes, name);
    else
        check_jpeg_segments(bytes, name);
    Image image;
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
    return image;
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
