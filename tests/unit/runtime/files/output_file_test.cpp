#include "runtime/files/output_file.h"

#include <doctest/doctest.h>

#include <fstream>
#include <vector>

#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

namespace fs = std::filesystem;

// A folder with photo.jpg, links to it, and a file of other contents.
struct Photograph {
    Photograph() {
        std::ofstream(photo) << "photograph";
        std::ofstream(folder / "other.jpg") << "photograph";
        fs::create_symlink("photo.jpg", folder / "symbolic.jpg");
        fs::create_symlink("symbolic.jpg", folder / "symbolic twice.jpg");
        fs::create_hard_link(photo, folder / "hard.jpg");
        fs::create_directories(folder / "a" / "b");
        fs::create_directory_symlink(folder.path(), folder / "a" / "way back");
    }
    // The message of writing to `output`; "" if nothing speaks against it.
    std::string refusal(const fs::path& output, const fs::path& input) const {
        try {
            require_distinct({"--out", output}, std::vector<NamedPath>{{"--mask", ""}, {"--image", input}});
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    }
    std::string folder_refusal(const fs::path& output, const fs::path& input) const {
        try {
            require_distinct_folder({"--each", output},
                                    std::vector<NamedPath>{{"--mask", ""}, {"--image", input}});
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    }

    TemporaryFolder folder;
    fs::path photo = folder / "photo.jpg";
};

}  // namespace

TEST_CASE_FIXTURE(Photograph, "output file: the input by any of its names is refused, naming both flags") {
    const std::string message = refusal(photo, photo);
    CHECK(message == "--out " + photo.string() + ": the same file as --image " + photo.string() +
                         ", which would be replaced: give another name");
    for (const fs::path& name :
         {folder / "symbolic.jpg", folder / "symbolic twice.jpg", folder / "hard.jpg",
          folder / "a" / ".." / "photo.jpg", folder / "a" / "way back" / "photo.jpg", fs::relative(photo)}) {
        CAPTURE(name.string());
        CHECK(refusal(name, photo).starts_with("--out " + name.string() + ": the same file as --image "));
        CHECK(refusal(photo, name)
                  .ends_with("--image " + name.string() + ", which would be replaced: give another name"));
    }
}

TEST_CASE_FIXTURE(Photograph, "output file: other files, new ones and no input at all are fine") {
    CHECK(refusal(folder / "other.jpg", photo) == "");
    CHECK(refusal(folder / "new.jpg", photo) == "");
    CHECK(refusal(folder / "no such folder" / "new.jpg", photo) == "");
    CHECK(refusal(folder / "new.jpg", folder / "new.jpg") == "");
    CHECK(refusal("", photo) == "");
    CHECK(refusal(photo, "") == "");
}

TEST_CASE_FIXTURE(Photograph, "output file: an input named like the partial file of the output is refused") {
    const fs::path partial = folder / "sheet.png.partial";
    fs::create_hard_link(photo, partial);
    CHECK(refusal(folder / "sheet.png", photo) ==
          "--out " + (folder / "sheet.png").string() + ": written as " + partial.string() +
              " first, the same file as --image " + photo.string() + ": give another name");
}

TEST_CASE_FIXTURE(Photograph, "output file: a folder that holds the input, or what it links to, is refused") {
    const std::string expected = "--each " + folder.path().string() + ": the folder that holds --image " +
                                 photo.string() + ": give another folder";
    CHECK(folder_refusal(folder.path(), photo) == expected);
    CHECK(folder_refusal(folder.path() / "", photo) != "");
    CHECK(folder_refusal(folder / "a" / "way back", photo) != "");
    CHECK(folder_refusal(photo, photo).find("the same file as --image") != std::string::npos);
    fs::create_symlink(photo, folder / "a" / "link.jpg");
    CHECK(folder_refusal(folder.path(), folder / "a" / "link.jpg") != "");
    CHECK(folder_refusal(folder / "a", folder / "a" / "link.jpg") != "");
    CHECK(folder_refusal(folder / "a" / "b", folder / "a" / "link.jpg") == "");
    CHECK(folder_refusal(folder / "new", photo) == "");
    CHECK(folder_refusal(folder / "a", photo) == "");
    CHECK(folder_refusal(folder.path(), folder / "no such file.jpg") == "");
    CHECK(folder_refusal(".", "") == "");
}
