// Folders of images: which files are taken, and in which order.
#pragma once

#include <filesystem>
#include <vector>

// False, too, for a link that leads nowhere.
bool is_folder(const std::filesystem::path& path);

// What a folder holds, sorted by name, without what file managers and archives leave behind: names with a dot
// in front, and the folder that macOS adds to a zip archive. Throws Error if it cannot be listed.
std::vector<std::filesystem::path> sorted_entries(const std::filesystem::path& folder);

// The files of a folder and of all folders in it: links are followed, but no folder is entered twice, nor
// `above` (if given), so that a link to a folder above ends. Folder by folder in the order of their paths, as
// torchvision's ImageFolder has them, each with its files in the order of their names. Throws Error.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder,
                                               const std::filesystem::path& above = {});

// Whether a file is to be taken for a picture: it begins as a JPEG or PNG does, or has the name of a picture (.png,
// .jpg, .webp, ...), which may be of a kind that cannot be read.
bool is_picture(const std::filesystem::path& file);
