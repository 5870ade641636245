#include "data/images/jpeg_segments.h"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <numeric>

#include "runtime/base/error.h"

namespace {

using Bytes = std::span<const std::uint8_t>;

namespace marker {
constexpr std::uint8_t baseline = 0xC0, progressive = 0xC2, huffman_tables = 0xC4, first_restart = 0xD0,
                       last_restart = 0xD7, end_of_image = 0xD9, start_of_scan = 0xDA,
                       quantisation_tables = 0xDB, adobe = 0xEE;

constexpr bool starts_frame(std::uint8_t marker) {
    return marker >= baseline && marker <= progressive;
}
}  // namespace marker

// Definitions in the file so far: Huffman tables by class (high bits: DC 0, AC 1) and number (low bits),
// quantisation tables by number, components by name. The decoder does not check that the definitions used by
// a scan exist.
class Definitions {
  public:
    // A segment: tables of one byte, the number of codes of each length from 1 to 16, and a byte for each
    // code; B.2.4.2.
    void define_huffman(Bytes segment, const std::string& name) {
        constexpr std::size_t start = 17, most_codes = 256, looked_up_bits = 9;
        while (!segment.empty()) {
            if (segment.size() < start) fail("{}: damaged JPEG: a Huffman table is cut off", name);
            const std::uint8_t* counts = &segment[1];
            const std::size_t codes = std::accumulate(counts, counts + start - 1, std::size_t{0}),
                              most = std::min(most_codes, segment.size() - start);
            if (codes > most)
                fail("{}: damaged JPEG: a Huffman table of {} codes, expected at most {}", name, codes, most);
            // In the decoder's table of short codes 255 means "longer".
            if (std::accumulate(counts, counts + looked_up_bits, std::size_t{0}) == most_codes)
                fail("{}: unsupported JPEG: a Huffman table of {} codes of at most {} bits, expected fewer",
                     name, most_codes, looked_up_bits);
            huffman_[segment[0]] = true;
            segment = segment.subspan(start + codes);
        }
    }

    // A segment: tables of one byte, the precision (high bits: 8 or 16 bits) and number, and 64 values;
    // B.2.4.1.
    void define_quantisation(Bytes segment) {
        while (!segment.empty()) {
            quantisation_[segment[0] & 15] = true;
            segment = segment.subspan(std::min<std::size_t>(segment.size(), segment[0] >> 4 ? 129 : 65));
        }
    }

    // Of a frame: the precision, the sides, the number of components and for each its name, its sampling and
    // the number of its quantisation table; B.2.2.
    void start_frame(std::uint8_t marker, Bytes segment) {
        progressive_ = marker == marker::progressive;
        for (std::size_t i = 8; i < segment.size(); i += 3) {
            components_[segment[i - 2]] = true;
            quantised_by_[segment[i] & 15] = true;
        }
    }

    // Of a scan: the number of components, for each its name and the numbers of its DC (high bits) and AC
    // tables, the first and last coefficient, and the bit that an earlier scan ended at; B.2.3.
    void start_scan(Bytes segment, const std::string& name) {
        const std::size_t components = segment.empty() ? 0 : segment[0];
        if (segment.size() != 4 + 2 * components) fail("{}: damaged JPEG: a scan's header is cut off", name);
        const std::uint8_t first = segment[1 + 2 * components], earlier = segment[3 + 2 * components] >> 4;
        const bool needs_dc = !progressive_ || (first == 0 && earlier == 0),
                   needs_ac = !progressive_ || first > 0;
        for (std::size_t i = 0; i < components; ++i) {
            scanned_[segment[1 + 2 * i]] = true;
            const std::uint8_t dc = segment[2 + 2 * i] >> 4, ac = segment[2 + 2 * i] & 15;
            if ((needs_dc && !huffman_[dc]) || (needs_ac && !huffman_[0x10 | ac]))
                fail("{}: damaged JPEG: a scan by a Huffman table that the file does not define", name);
        }
    }

    // Of the whole file: a quantisation table may come after the first scans.
    void finish(const std::string& name) const {
        if ((components_ & ~scanned_).any())
            fail("{}: damaged JPEG: a component of which the file holds no scan", name);
        if ((quantised_by_ & ~quantisation_).any())
            fail("{}: damaged JPEG: a component with a quantisation table that the file does not define",
                 name);
    }

  private:
    bool progressive_ = false;
    std::bitset<256> huffman_, components_, scanned_;
    std::bitset<16> quantisation_, quantised_by_;
};

// Four channels are CMYK or YCCK, each stored inverted, if an Adobe segment states it (its last byte is 0 or
// 2); without one the decoder would take the first three for YCbCr, and programs differ in their
// interpretation.
class FourChannels {
  public:
    void see(std::uint8_t marker, Bytes segment) {
        if (marker::starts_frame(marker) && segment.size() >= 6) four_ = segment[5] == 4;
        if (marker == marker::adobe && segment.size() >= 12 && std::memcmp(segment.data(), "Adobe", 5) == 0)
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

// see(marker, segment) for every segment up to the marker of the image's end, or until it returns false.
// Returns false if the file has no such end.
template <class See>
bool for_each_segment(Bytes bytes, See see) {
    std::size_t position = 2;  // behind the marker of the image's start
    while (position + 1 < bytes.size()) {
        const std::uint8_t marker = bytes[position + 1];
        // Outside a segment everything up to the next marker is passed over: compressed samples, in which
        // 0xFF is followed by 0 or a restart marker, and fill bytes.
        const bool is_marker = bytes[position] == 0xFF && marker != 0x00 && marker != 0xFF;
        if (!is_marker || (marker >= marker::first_restart && marker <= marker::last_restart)) {
            ++position;
            continue;
        }
        if (marker == marker::end_of_image) return true;
        if (position + 3 >= bytes.size()) break;
        const auto length = static_cast<std::size_t>(bytes[position + 2] << 8 | bytes[position + 3]);
        position += 2;
        if (length >= 2 && length <= bytes.size() - position &&
            !see(marker, bytes.subspan(position + 2, length - 2)))
            return true;
        position += length;
    }
    return false;
}

}  // namespace

void check_jpeg_segments(Bytes bytes, const std::string& name) {
    Definitions definitions;
    FourChannels four_channels;
    const bool has_end = for_each_segment(bytes, [&](std::uint8_t marker, Bytes segment) {
        if (marker == marker::huffman_tables) definitions.define_huffman(segment, name);
        if (marker == marker::quantisation_tables) definitions.define_quantisation(segment);
        if (marker::starts_frame(marker)) definitions.start_frame(marker, segment);
        if (marker == marker::start_of_scan) definitions.start_scan(segment, name);
        four_channels.see(marker, segment);
        return true;
    });
    // The decoder's result for a file without an end is not consistent.
    if (!has_end) fail("{}: truncated JPEG", name);
    definitions.finish(name);
    four_channels.check(name);
}

std::optional<JpegSides> find_jpeg_sides(Bytes bytes) {
    std::optional<JpegSides> sides;
    for_each_segment(bytes, [&](std::uint8_t marker, Bytes segment) {
        if (marker::starts_frame(marker) && segment.size() >= 5)
            sides = JpegSides{static_cast<std::uint32_t>(segment[3] << 8 | segment[4]),
                              static_cast<std::uint32_t>(segment[1] << 8 | segment[2])};
        return !sides;
    });
    return sides;
}

Bytes find_jpeg_segment(Bytes bytes, std::uint8_t marker, std::string_view start) {
    Bytes found;
    for_each_segment(bytes, [&](std::uint8_t other, Bytes segment) {
        const bool is_it = other == marker && segment.size() >= start.size() &&
                           std::memcmp(segment.data(), start.data(), start.size()) == 0;
        if (is_it) found = segment;
        return !is_it && other != marker::start_of_scan;
    });
    return found;
}
