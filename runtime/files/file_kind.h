// What a file is that was given in place of a checkpoint or another input: told by its first bytes, never by
// its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

// Files of this project that are no checkpoints (data/records), by their first 8 bytes.
inline constexpr std::string_view packed_image_magic = "fractpak", token_magic = "fractok1",
                                  text_feature_magic = "fractext", coded_picture_magic = "fractfrc";

// The first bytes of a file, as many as foreign_kind() wants; none of what is no regular file (a pipe would
// be waited for) or cannot be read.
std::string read_start(const std::filesystem::path& path);

// What a file should have been, for the message: "not a NOUN", "expected ENDINGS".
struct WantedFile {
    std::string_view noun = "checkpoint", endings = ".safetensors or .pth";
};

// What a file of `bytes` bytes that starts with `start` is, and what to do about it, as the end of a message:
// "a git-lfs pointer, not the checkpoint itself: `git lfs pull` fetches that". "" for bytes of no known kind.
// Checkpoints themselves are not among the kinds.
std::string foreign_kind(std::string_view start, std::uint64_t bytes, const WantedFile& wanted = {});

// UTF-16 or UTF-32 by its byte order mark, "" for any other.
std::string_view wide_encoding(std::string_view text);
