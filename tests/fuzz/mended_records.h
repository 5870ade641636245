// Files of records (data/records/record_file.h) whose checksums hold, whatever else is wrong with them: a fuzzer
// would never come upon the right checksum and see nothing but the check of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "data/records/record_file.h"

// The file with the header's checksum, and those of the blocks at its end as for records of
// `record_bytes`(file).
inline std::vector<std::uint8_t> mended_records(std::span<const std::uint8_t> file) {
    std::vector<std::uint8_t> mended(file.begin(), file.end());
    std::uint32_t header_bytes = 0;
    if (mended.size() < 64) return mended;
    std::memcpy(&header_bytes, &mended[12], sizeof header_bytes);
    if (header_bytes < 64 || header_bytes > mended.size()) return mended;
    const std::uint32_t checksum = checksum_of(0, mended.data(), header_bytes - 4);
    std::memcpy(&mended[header_bytes - 4], &checksum, sizeof checksum);
    // Few records, so one block.
    if (mended.size() < header_bytes + 4) return mended;
    const std::uint32_t block = checksum_of(0, &mended[header_bytes], mended.size() - header_bytes - 4);
    std::memcpy(&mended[mended.size() - 4], &block, sizeof block);
    return mended;
}
