// Outputs of a job against its inputs: a file that is written must not be one that is read.
//
// Files are compared by device and inode, links followed, so that no other spelling of a path, symbolic link
// or hard link gets past the check. Asked before a job writes anything.
#pragma once

#include <filesystem>
#include <span>
#include <string>

// A file or folder and the flag that named it.
struct NamedPath {
    std::string flag;
    std::filesystem::path path;  // "": the flag was not given
};

// Throws UsageError naming both flags if `output`, or the partial file as which it is written first
// (AtomicFile), is one of `inputs`.
void require_distinct(const NamedPath& output, std::span<const NamedPath> inputs);

// The same for a folder into which files are written: throws also if one of `inputs` lies in it, by its name
// or, for a link, by the file that it leads to.
void require_distinct_folder(const NamedPath& folder, std::span<const NamedPath> inputs);
