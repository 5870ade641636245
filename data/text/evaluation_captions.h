// Which captions a text-to-image model is measured on, and in which order, as the releases do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// coco (U-ViT's): every picture another image of the set in random order, its caption drawn uniformly among the
// image's; with more pictures than images another round begins. cc3m (MUSE-Pytorch's): the images' first captions in
// their order, round after round.
enum class CaptionProtocol { coco, cc3m };
// Throws UsageError, naming `flag`, for any other.
CaptionProtocol caption_protocol(std::string_view flag, std::string_view name);

// One caption for each of `count` pictures, of a packed file or a token file. Images without captions are left out.
// Throws Error if there are no captions.
std::vector<std::string> evaluation_captions(const std::filesystem::path& path, CaptionProtocol protocol,
                                             std::int64_t count, std::uint64_t seed);
