// Captions of the pictures of a folder, as text files beside them or as one file for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// Invalid UTF-8 in captions becomes U+FFFD. Spaces around a caption are removed, and captions without
// anything else are passed over.
class PictureCaptions {
  public:
    // Of the pictures of `folder`. With an empty `file` they lie beside each picture: of NAME.jpg and
    // NAME.png in NAME.txt, one a line. Else `file` holds those of all, known by their paths from `folder`
    // on: MS-COCO's JSON, an object with "images" [{id, file_name}] and "annotations" [{image_id, caption}],
    // or lines of a path, a tab and a caption. Throws Error naming the file and the place.
    PictureCaptions(std::filesystem::path folder, const std::filesystem::path& file);

    // Whether a file of the folder holds captions, no picture; reads it if it does. Throws Error.
    bool read_if_captions(const std::filesystem::path& path);
    // Captions of a picture of the folder, in their order; none if there are none. To be called when all
    // files of captions are read.
    const std::vector<std::string>& of(const std::filesystem::path& picture);
    // Of MS-COCO's pictures their place in ascending order of their ids, of all others the same number,
    // larger than any.
    std::size_t place(const std::filesystem::path& picture) const;

    // Pictures, or text files, with captions that of() was never asked for.
    std::vector<std::string> unused() const;
    // The files that were read.
    const std::vector<std::filesystem::path>& files() const { return files_; }
    // For messages: the file, or "NAME.txt beside it".
    std::string source() const;

  private:
    struct Entry {
        std::vector<std::string> captions;
        std::size_t place;
        bool used = false;
    };

    std::string key(const std::filesystem::path& picture) const;
    Entry& entry(const std::string& key);
    void read_lines(std::string_view text);
    void read_coco(const std::string& text);

    std::filesystem::path folder_, file_;
    std::vector<std::filesystem::path> files_;
    std::map<std::string, Entry> entries_;  // by the pictures' paths from the folder on, see key()
};
