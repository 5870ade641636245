// Captions of a file of records that was opened: every one of them lies in the file.
#pragma once

#include <cstdint>
#include <string>

#include "tests/fuzz/entry.h"

template <class File>
void read_captions(const File& file, std::size_t file_bytes) {
    std::size_t text_bytes = 0;
    std::int64_t number = 0;
    for (std::int64_t i = 0; i < file.count(); ++i) {
        require(file.first_caption(i) == number && file.captions(i) >= 0);
        number += file.captions(i);
        for (std::int64_t k = 0; k < file.captions(i); ++k)
            text_bytes += std::string(file.caption(i, k)).size();
    }
    require(number == file.caption_count() && file.has_captions() == (number > 0));
    require(text_bytes <= file_bytes);
}
