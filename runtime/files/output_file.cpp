#include "runtime/files/output_file.h"

#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

namespace fs = std::filesystem;

// False if one of them is missing.
bool is_same_file(const fs::path& a, const fs::path& b) {
    std::error_code missing;
    return !a.empty() && !b.empty() && fs::equivalent(a, b, missing);
}

fs::path folder_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::string named(const NamedPath& given) {
    return fmt::format("{} {}", given.flag, given.path.string());
}

}  // namespace

void require_distinct(const NamedPath& output, std::span<const NamedPath> inputs) {
    fs::path partial = output.path;
    partial += partial_suffix;
    for (const NamedPath& input : inputs) {
        if (is_same_file(output.path, input.path))
            fail_usage("{}: the same file as {}, which would be replaced: give another name", named(output),
                       named(input));
        if (!output.path.empty() && is_same_file(partial, input.path))
            fail_usage("{}: written as {} first, the same file as {}: give another name", named(output),
                       partial.string(), named(input));
    }
}

void require_distinct_folder(const NamedPath& folder, std::span<const NamedPath> inputs) {
    require_distinct(folder, inputs);
    for (const NamedPath& input : inputs) {
        std::error_code missing;
        const fs::path target = fs::canonical(input.path, missing);  // fails for "", too
        if (!missing && (is_same_file(folder.path, folder_of(input.path)) ||
                         is_same_file(folder.path, target.parent_path())))
            fail_usage("{}: the folder that holds {}: give another folder", named(folder), named(input));
    }
}
