// Goldens. Large files are stored packed, as NAME.planes.gz: random floats compress, by a sixth,
// only when bytes of equal significance stand together. Of the bytes `data` of the file, in Python:
//
//   gzip.compress(b"".join(data[k::4] for k in range(4)), 9)
//
// The moments of fractalmar_tiny.pth's optimizer, which no reader looks at, are zeros here.
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "runtime/files/open_tensor_file.h"
#include "tests/unit/temporary_folder.h"

// A file of tests/golden, or a copy of it that is unpacked as long as the object lives.
class GoldenFile {
  public:
    explicit GoldenFile(const std::string& name) : path_("tests/golden/" + name) {
        if (std::filesystem::exists(path_)) return;
        const std::string planes = read_gzip(path_.string() + ".planes.gz");
        std::string data(planes.size(), '\0');
        std::size_t i = 0;
        for (std::size_t plane = 0; plane < 4; ++plane)
            for (std::size_t byte = plane; byte < data.size(); byte += 4) data[byte] = planes[i++];
        folder_ = std::make_unique<TemporaryFolder>();
        path_ = *folder_ / name;
        std::ofstream(path_, std::ios::binary) << data;
    }

    const std::filesystem::path& path() const { return path_; }

  private:
    static std::string read_gzip(const std::string& path) {
        const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
        REQUIRE_MESSAGE(file != nullptr, path);
        std::string data;
        std::string block(1 << 20, '\0');
        for (int count; (count = gzread(file.get(), block.data(), 1 << 20)) != 0;) {
            REQUIRE_MESSAGE(count > 0, path);
            data.append(block, 0, static_cast<std::size_t>(count));
        }
        return data;
    }

    std::unique_ptr<TemporaryFolder> folder_;
    std::filesystem::path path_;
};
