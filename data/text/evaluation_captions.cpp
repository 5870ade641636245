#include "data/text/evaluation_captions.h"

#include "data/records/caption_source.h"
#include "data/records/sample_order.h"
#include "kernels/common/philox.h"
#include "runtime/base/error.h"

namespace {

// A random word of 32 bits for picture i.
std::uint32_t word_of(std::uint64_t seed, std::int64_t i) {
    constexpr std::uint32_t caption_purpose = 0x63617074;
    const PhiloxKey key{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    const auto number = static_cast<std::uint64_t>(i);
    return philox(
        {static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(number >> 32), 0, caption_purpose},
        key)[0];
}

}  // namespace

CaptionProtocol caption_protocol(std::string_view flag, std::string_view name) {
    if (name == "coco") return CaptionProtocol::coco;
    if (name == "cc3m") return CaptionProtocol::cc3m;
    fail_usage("{} {}: expected coco or cc3m", flag, name);
}

std::vector<std::string> evaluation_captions(const std::filesystem::path& path, CaptionProtocol protocol,
                                             std::int64_t count, std::uint64_t seed) {
    const auto file = open_captions(path);
    std::vector<std::int64_t> records;
    for (std::int64_t i = 0; i < file->count(); ++i)
        if (file->captions(i) > 0) records.push_back(i);
    const auto images = static_cast<std::int64_t>(records.size());
    std::vector<std::int32_t> order(records.size());
    std::vector<std::string> captions;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto place = static_cast<std::size_t>(i % images);
        if (protocol == CaptionProtocol::cc3m) {
            captions.emplace_back(file->caption(records[place], 0));
            continue;
        }
        if (place == 0) shuffle_epoch(seed, i / images, order);
        const std::int64_t record = records[static_cast<std::size_t>(order[place])],
                           choices = file->captions(record);
        captions.emplace_back(
            file->caption(record, static_cast<std::int64_t>(word_of(seed, i)) * choices >> 32));
    }
    return captions;
}
