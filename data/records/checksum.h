// Checksums of files of records.
#pragma once

#include <cstddef>
#include <cstdint>

// CRC-32 (zlib's) of `size` more bytes behind those of which `start` is the checksum; 0 starts.
std::uint32_t checksum_of(std::uint32_t start, const void* bytes, std::size_t size);
