// Torch checkpoints with one tensor, and what the reader says about files.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/files/pth/pth.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/runtime/files/read_tensor.h"
#include "tests/unit/temporary_folder.h"

inline Floats counting(std::size_t count) {
    Floats values(count);
    std::iota(values.begin(), values.end(), 0.0f);
    return values;
}

inline std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write(const std::filesystem::path& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// "" if the file opens and all its tensors of modest size are read, otherwise the message, which is one line
// that names the file.
inline std::string refusal(const std::filesystem::path& path) {
    try {
        const PthFile file(path);
        for (const auto& [name, tensor] : file.entries())
            if (tensor.count() < 1 << 20) read(file, name);
        return "";
    } catch (const Error& error) {
        const std::string message = error.what();
        CHECK_MESSAGE(message.starts_with(path.string() + ": "), message);
        CHECK_MESSAGE(message.find('\n') == std::string::npos, message);
        return message;
    }
}

// The refusal of a file with the one tensor "t".
struct OneTensor {
    TemporaryFolder folder;
    std::string refusal_of(const std::string& tensor_code,
                           const std::vector<pth_writer::Storage>& storages) const {
        pth_writer::write_pth(folder / "one.pth", pth_writer::dictionary({{"t", tensor_code}}), storages);
        return refusal(folder / "one.pth");
    }
};
