#include "data/records/checksum.h"

#include <zlib.h>

std::uint32_t checksum_of(std::uint32_t start, const void* bytes, std::size_t size) {
    return static_cast<std::uint32_t>(crc32_z(start, static_cast<const Bytef*>(bytes), size));
}
