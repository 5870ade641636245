#include "data/records/exact_pictures.h"

#include <algorithm>

#include "data/images/exact_image.h"
#include "data/images/sheet.h"
#include "data/records/folder_files.h"
#include "runtime/base/error.h"

namespace fs = std::filesystem;

ExactPictures::ExactPictures(const fs::path& path, int size, int channels)
    : size_(size), channels_(channels) {
    if (!is_folder(path) && is_packed_file(path)) {
        packed_.emplace(path);
        if (packed_->size() != size || packed_->channels() != channels)
            fail("{}: pictures of {}x{} with {} channels, the model codes {}x{} with {}", path.string(),
                 packed_->size(), packed_->size(), packed_->channels(), size, size, channels);
        packed_->verify();
        return;
    }
    if (is_folder(path)) {
        std::ranges::copy_if(files_below(path), std::back_inserter(files_), is_picture);
        if (files_.empty()) fail("{}: holds no JPEG or PNG picture", path.string());
    } else {
        files_ = {path};
    }
    bool numbered = true;
    for (const fs::path& file : files_) {
        const ImageSides sides = read_image_sides(file);
        require_size(file, sides.width, sides.height);
        names_.push_back(is_folder(path) ? file.lexically_relative(path).generic_string()
                                         : file.filename().generic_string());
        numbered = numbered && names_.back() == image_name(std::ssize(names_) - 1, "");
    }
    if (numbered) names_.clear();
}

std::int64_t ExactPictures::count() const {
    return packed_ ? packed_->count() : std::ssize(files_);
}

void ExactPictures::require_size(const fs::path& file, int width, int height) const {
    if (width != size_ || height != size_)
        fail("{}: {}x{} pixels, the model codes {}x{}", file.string(), width, height, size_, size_);
}

std::vector<std::uint8_t> ExactPictures::read(std::int64_t first, std::int64_t count) const {
    if (packed_) {
        packed_->check_length();
        const std::uint8_t* begin = packed_->pixels(first);
        return {begin, begin + count * packed_->record_bytes()};
    }
    std::vector<std::uint8_t> pictures;
    for (std::int64_t i = first; i < first + count; ++i) {
        const fs::path& file = files_[static_cast<std::size_t>(i)];
        const Image image = read_exact_image(file, channels_);
        require_size(file, image.width, image.height);
        const std::vector<std::uint8_t> planar = planar_pixels(image);
        pictures.insert(pictures.end(), planar.begin(), planar.end());
    }
    return pictures;
}
