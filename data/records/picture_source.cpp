#include "data/records/picture_source.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "data/images/image_file.h"
#include "data/records/folder_files.h"
#include "data/records/packed.h"
#include "kernels/common/threads.h"
#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/npz.h"

namespace {

namespace fs = std::filesystem;

// work(i) for 0 <= i < count on all threads. Throws the exception of the lowest i.
template <class Work>
void for_each_in_parallel(std::int64_t count, const Work& work) {
    std::vector<std::exception_ptr> failures(static_cast<std::size_t>(count));
    cpu::share_each(count, 1, [&](std::int64_t i) {
        try {
            work(i);
        } catch (...) {
            failures[static_cast<std::size_t>(i)] = std::current_exception();
        }
    });
    for (const std::exception_ptr& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

class FolderPictures : public PictureSource {
  public:
    explicit FolderPictures(const fs::path& folder) : PictureSource(folder) {
        const std::vector<fs::path> files = files_below(folder);
        std::vector<ImageSides> sides(files.size());  // 0 by 0: no picture
        for_each_in_parallel(std::ssize(files), [&](std::int64_t i) {
            const auto place = static_cast<std::size_t>(i);
            if (is_picture(files[place])) sides[place] = read_image_sides(files[place]);
        });
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (sides[i] == ImageSides{}) continue;
            if (files_.empty()) {
                height_ = sides[i].height;
                width_ = sides[i].width;
            }
            check_sides(files[i], files_.empty() ? files[i] : files_.front(), sides[i]);
            files_.push_back(files[i]);
        }
        if (files_.empty()) fail("{}: holds no JPEG or PNG picture", name_);
        count_ = std::ssize(files_);
    }

  private:
    void check_sides(const fs::path& file, const fs::path& first, const ImageSides& sides) const {
        if (sides != ImageSides{width_, height_})
            fail("{}: {}x{} pixels, expected {}x{} as in {}: pictures that are measured have one size",
                 file.string(), sides.width, sides.height, width_, height_, first.string());
    }
    void read_planar(std::int64_t first, std::int64_t count, std::uint8_t* planar) const override {
        for_each_in_parallel(count, [&](std::int64_t i) {
            const fs::path& file = files_[static_cast<std::size_t>(first + i)];
            const Image image = read_image(file, channels());
            check_sides(file, files_.front(), {image.width, image.height});
            std::ranges::copy(planar_pixels(image), planar + i * picture_bytes());
        });
    }

    std::vector<fs::path> files_;
};

class PackedPictures : public PictureSource {
  public:
    explicit PackedPictures(const fs::path& path) : PictureSource(path), file_(path) {
        file_.verify();
        count_ = file_.count();
        height_ = width_ = file_.size();
    }

  private:
    void read_planar(std::int64_t first, std::int64_t count, std::uint8_t* planar) const override {
        file_.check_length();
        const std::int64_t record = file_.record_bytes(), repeated = picture_bytes() / record;
        for (std::int64_t i = 0; i < count * repeated; ++i)
            std::memcpy(planar + i * record, file_.pixels(first + i / repeated),
                        static_cast<std::size_t>(record));
    }

    PackedFile file_;
};

class NpzPictures : public PictureSource {
  public:
    explicit NpzPictures(const fs::path& path) : PictureSource(path), file_(path) {
        const NpyArray& array = file_.description(key);
        const auto& shape = array.shape;
        if (array.type != ScalarType::uint8 || shape.size() != 4 || (shape[3] != 1 && shape[3] != 3))
            fail("{}: {} is {} in the shape {}, expected pictures, |u1 (uint8) in (N, height, width, 3 or 1)",
                 name_, key, array.dtype, shape_text(shape));
        if (array.fortran_order)
            fail("{}: {} is in Fortran order, expected C order (numpy.ascontiguousarray)", name_, key);
        if (std::ranges::any_of(shape, [](std::int64_t size) { return size < 1; }))
            fail("{}: {} holds no pictures: its shape is {}", name_, key, shape_text(shape));
        if (std::max(shape[1], shape[2]) > maximum_image_side || shape[1] * shape[2] > maximum_image_pixels)
            fail("{}: pictures of {}x{} pixels, expected at most {} a side and {} in all", name_, shape[2],
                 shape[1], maximum_image_side, maximum_image_pixels);
        count_ = shape[0];
        height_ = static_cast<int>(shape[1]);
        width_ = static_cast<int>(shape[2]);
        stored_channels_ = static_cast<int>(shape[3]);
    }

  private:
    static constexpr const char* key = "arr_0";

    void read_planar(std::int64_t first, std::int64_t count, std::uint8_t* planar) const override {
        constexpr std::int64_t piece_bytes = 1 << 22;
        const std::int64_t plane = std::int64_t{height_} * width_, stored_bytes = plane * stored_channels_,
                           most = std::max<std::int64_t>(1, piece_bytes / stored_bytes);
        std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min(count, most) * stored_bytes));
        for (std::int64_t done = 0; done < count; done += most) {
            const std::int64_t pictures = std::min(most, count - done);
            file_.read_bytes(key, static_cast<std::uint64_t>((first + done) * stored_bytes),
                             std::as_writable_bytes(std::span(piece))
                                 .first(static_cast<std::size_t>(pictures * stored_bytes)));
            for (std::int64_t i = 0; i < pictures; ++i)
                to_planes(piece.data() + i * stored_bytes, planar + (done + i) * picture_bytes());
        }
    }
    void to_planes(const std::uint8_t* pixels, std::uint8_t* planes) const {
        const std::int64_t plane = std::int64_t{height_} * width_;
        for (int channel = 0; channel < channels(); ++channel)
            for (std::int64_t i = 0; i < plane; ++i)
                planes[channel * plane + i] = pixels[i * stored_channels_ + channel % stored_channels_];
    }

    NpzFile file_;
    int stored_channels_ = 0;
};

}  // namespace

void PictureSource::read(std::int64_t first, std::int64_t count, std::span<std::uint8_t> planar) const {
    if (first < 0 || count < 0 || first > count_ || count > count_ - first)
        fail("{}: {} pictures from number {} on, expected them within its {}", name_, count, first, count_);
    if (std::ssize(planar) != count * picture_bytes())
        fail("{}: {} bytes for {} pictures of {}", name_, planar.size(), count, picture_bytes());
    read_planar(first, count, planar.data());
}

std::vector<std::uint8_t> PictureSource::read(std::int64_t first, std::int64_t count) const {
    std::vector<std::uint8_t> planar(static_cast<std::size_t>(count * picture_bytes()));
    read(first, count, planar);
    return planar;
}

std::unique_ptr<PictureSource> open_pictures(const fs::path& path) {
    constexpr WantedFile wanted{"set of pictures",
                                "a folder of JPEG and PNG files, a packed file or an .npz"};
    std::error_code unreachable;
    if (!fs::exists(path, unreachable)) fail("{}: there is no such file or folder", path.string());
    if (is_folder(path)) return std::make_unique<FolderPictures>(path);
    if (!fs::is_regular_file(path, unreachable)) fail("{}: neither a file nor a folder", path.string());
    if (is_packed_file(path)) return std::make_unique<PackedPictures>(path);
    const std::string start = read_start(path);
    if (start.starts_with("PK")) return std::make_unique<NpzPictures>(path);
    const std::string kind = foreign_kind(start, fs::file_size(path), wanted);
    fail("{}: {}", path.string(),
         kind.empty() ? fmt::format("not a {}, expected {}", wanted.noun, wanted.endings) : kind);
}
