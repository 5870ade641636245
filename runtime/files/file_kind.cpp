#include "runtime/files/file_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <system_error>

namespace {

using namespace std::string_view_literals;

constexpr std::size_t start_bytes = 4096;

struct Magic {
    std::string_view bytes;
    std::size_t offset;
    std::string_view kind;
};

// Kinds with bytes of their own, the more particular ones first; {0} is the noun of WantedFile, {1} its
// endings.
constexpr std::array magics{
    Magic{packed_image_magic, 0, "a packed image file, not a {0}: --data takes it"},
    Magic{token_magic, 0, "a token file, not a {0}: train nat --tokens takes it"},
    Magic{text_feature_magic, 0, "a file of text features, not a {0}: train nat --text takes it"},
    Magic{coded_picture_magic, 0, "a file of coded pictures, not a {0}: sample decompress takes it"},
    Magic{"version https://git-lfs.github.com/spec/", 0,
          "a git-lfs pointer, not the {0} itself: `git lfs pull` fetches that"},
    Magic{"version https://hawser.github.com/spec/", 0,
          "a git-lfs pointer, not the {0} itself: `git lfs pull` fetches that"},
    Magic{"/annex/objects/", 0, "a git-annex pointer, not the {0} itself: `git annex get` fetches that"},
    Magic{"\x1f\x8b", 0, "compressed with gzip (.gz): gunzip it and give the {0} in it"},
    Magic{"BZh", 0, "compressed with bzip2 (.bz2): bunzip2 it and give the {0} in it"},
    Magic{"\xfd"
          "7zXZ\0"sv,
          0, "compressed with xz (.xz): unxz it and give the {0} in it"},
    Magic{"\x28\xb5\x2f\xfd", 0, "compressed with zstd (.zst): unzstd it and give the {0} in it"},
    Magic{"\x04\x22\x4d\x18", 0, "compressed with lz4 (.lz4): unlz4 it and give the {0} in it"},
    Magic{"7z\xbc\xaf\x27\x1c", 0, "a 7z archive: unpack it and give the {0} in it"},
    Magic{"Rar!\x1a\x07", 0, "a rar archive: unpack it and give the {0} in it"},
    Magic{"\xff\xd8\xff", 0, "a JPEG picture, not a {0}"},
    Magic{"\x89PNG\r\n\x1a\n", 0, "a PNG picture, not a {0}"},
    Magic{"GIF8", 0, "a GIF picture, not a {0}"},
    Magic{"WEBP", 8, "a WebP picture, not a {0}"},
    Magic{"II*\0"sv, 0, "a TIFF picture, not a {0}"},
    Magic{"MM\0*"sv, 0, "a TIFF picture, not a {0}"},
    Magic{"%PDF-", 0, "a PDF document, not a {0}"},
    Magic{"\x89HDF\r\n\x1a\n", 0, "an HDF5 file, which is not read: expected {1}"},
    Magic{"\x93NUMPY", 0, "a NumPy array (.npy), which is not read: expected {1}"},
    Magic{"GGUF", 0, "a GGUF file, which is not read: expected {1}"},
    Magic{"\0\x05\x16\x07"sv, 0,
          "macOS's notes beside a file (._NAME), not a {0}: give the file NAME itself"},
};

bool starts_with_letters(std::string_view text, std::string_view lower) {
    return text.size() >= lower.size() &&
           std::ranges::equal(text.substr(0, lower.size()), lower,
                              [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
}

// No control characters but those of text.
bool is_text(std::string_view start) {
    return std::ranges::all_of(
        start, [](unsigned char c) { return c >= ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; });
}

std::string json_kind(std::string_view start, const WantedFile& wanted) {
    if (wanted.noun != WantedFile{}.noun) return fmt::format("JSON text, not a {}", wanted.noun);
    return start.find("\"weight_map\"") != std::string_view::npos
               ? "a JSON index of shards, not a checkpoint: the weights are in the files that its "
                 "weight_map names, which have to be saved as one file"
               : "JSON text, not a checkpoint; a model's configuration is given with --config";
}

std::string text_kind(std::string_view start, const WantedFile& wanted) {
    if (start.starts_with("\xef\xbb\xbf")) start.remove_prefix(3);
    start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n\f"), start.size()));
    if (start.empty()) return fmt::format("blank text, not a {}: is it downloaded whole?", wanted.noun);
    for (const std::string_view tag :
         {"<!doctype html", "<html", "<head", "<body", "<script", "<title", "<!--"})
        if (starts_with_letters(start, tag))
            return fmt::format(
                "a web page (HTML), not the {} itself: download the file that the page is about",
                wanted.noun);
    if (start.front() == '<')
        return fmt::format("XML text, such as a server's error message, not the {} itself: download it again",
                           wanted.noun);
    if (start.front() == '{' || start.front() == '[') return json_kind(start, wanted);
    constexpr std::size_t shown = 40;
    std::string_view line = start.substr(0, start.find_first_of("\r\n\f"));
    return fmt::format("text that starts with \"{}{}\", not a {}", line.substr(0, shown),
                       line.size() > shown ? "..." : "", wanted.noun);
}

}  // namespace

std::string read_start(const std::filesystem::path& path) {
    std::error_code unreachable;
    if (!std::filesystem::is_regular_file(path, unreachable)) return {};
    std::string start(start_bytes, '\0');
    std::ifstream file(path, std::ios::binary);
    file.read(start.data(), static_cast<std::streamsize>(start.size()));
    start.resize(static_cast<std::size_t>(file.gcount()));
    return start;
}

std::string foreign_kind(std::string_view start, std::uint64_t bytes, const WantedFile& wanted) {
    start = start.substr(0, start_bytes);
    if (bytes == 0) return fmt::format("empty, not a {}: is it downloaded or copied whole?", wanted.noun);
    for (const Magic& magic : magics)
        if (start.size() >= magic.offset && start.substr(magic.offset).starts_with(magic.bytes))
            return fmt::format(fmt::runtime(magic.kind), wanted.noun, wanted.endings);
    if (const std::string_view encoding = wide_encoding(start); !encoding.empty())
        return fmt::format("{} text, not a {}", encoding, wanted.noun);
    if (start.size() > 8 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5)
        return wanted.noun != WantedFile{}.noun
                   ? fmt::format("a Python pickle, not a {}", wanted.noun)
                   : "a Python pickle that torch.save did not write: load it in Python and torch.save its "
                     "tensors";
    if (is_text(start)) return text_kind(start, wanted);
    if (start.size() >= 64 && std::ranges::all_of(start, [](char c) { return c == '\0'; }))
        return fmt::format("zeros from its first byte on, not a {}: is it downloaded whole?", wanted.noun);
    return "";
}

std::string_view wide_encoding(std::string_view text) {
    if (text.starts_with("\xff\xfe\0\0"sv) || text.starts_with("\0\0\xfe\xff"sv)) return "UTF-32";
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) return "UTF-16";
    return "";
}
