// Image folders and CIFAR-10's binary files into packed files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

// Called now and then with the number of images done and in all, from the calling thread. May throw to give
// up; nothing is written then.
using PackProgress = std::function<void(std::int64_t done, std::int64_t total)>;

// How a picture becomes a square: crop_centre() or crop_square_lanczos() of data/images/crop.h.
enum class CropRule { adm, coco };

struct PackOptions {
    std::filesystem::path out;
    // Fraction of every class, evenly spread over its images in their order, that goes into holdout_path(out)
    // instead.
    double holdout = 0.0;
    PackProgress progress;
    // Whether photographs are turned as viewers show them (EXIF). ADM's release, whose crop this is, takes
    // them as they lie in their files.
    bool exif = false;
    // Of a folder alone. Captions as PictureCaptions (picture_captions.h) takes them: "" for text files
    // beside the pictures, else the file of all. Without a value there are none.
    std::optional<std::filesystem::path> captions = std::nullopt;
    CropRule crop = CropRule::adm;
};

// Files that a report counts, of which it names the first ones.
struct NamedFiles {
    static constexpr std::size_t maximum_named = 10;
    std::int64_t count = 0;
    std::vector<std::string> first;  // at most maximum_named

    void add(std::string name);
};

struct PackReport {
    std::int64_t packed = 0, held_out = 0;
    NamedFiles skipped;       // "path: reason"
    std::int64_t turned = 0;  // images with an EXIF orientation other than 1, packed or held out
    // The folder of the only class, if all its images lie in several folders in it, which may be the classes
    // that were meant.
    std::filesystem::path only_class;
    std::vector<std::string> empty_classes;  // of CIFAR-10, those of which there was no image
    std::int64_t captions = 0;               // of the images packed or held out
    NamedFiles without_captions;             // those of them that have none, if others have
    NamedFiles without_picture;              // pictures that have captions but are not there
};

// "dir/name.bin" -> "dir/name.holdout.bin".
std::filesystem::path holdout_path(const std::filesystem::path& out);

// Packs the JPEG and PNG files of a folder, each cropped to [C, size, size], C = 1 if grey, else 3.
// With folders inside, these are the classes, labelled in the order of their names (byte order), each with
// its files in the order of theirs, then those of the folders in it, to any depth. Classes alternate, so that
// the first records, which validation measures and sheets show, hold each in its share. Without folders, the
// files have no label. What is not a sound image is skipped; names that start with a dot, and __MACOSX, are
// ignored. With MS-COCO's captions, images without class folders are in ascending order of their ids. Throws
// Error if no image remains, of the whole or of a class; if captions are asked for and no image has one; if
// the folders are train, val and the like above the classes; UsageError if an output is one of the files.
PackReport pack_folder(const std::filesystem::path& images, int size, bool grey, const PackOptions& options);

// Packs CIFAR-10's binary files: records of one label byte and [3, 32, 32] pixels. split "train" takes
// data_batch_1.bin to data_batch_5.bin, "test" test_batch.bin; each may hold any number of records. Class
// names are the published ones unless batches.meta.txt is there. Throws Error naming the file and the record.
PackReport pack_cifar10(const std::filesystem::path& folder, const std::string& split,
                        const PackOptions& options);
