#include "sample/picture_outputs.h"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <vector>

#include "data/images/image_file.h"
#include "runtime/base/error.h"
#include "sample/trace.h"
#include "tests/unit/temporary_folder.h"

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

Names names_in(const fs::path& folder) {
    Names names;
    if (fs::exists(folder))
        for (const auto& entry : fs::directory_iterator(folder))
            names.insert(entry.path().filename().string());
    return names;
}

// A folder for --each and one for --trace.
struct Folders {
    TemporaryFolder work;
    fs::path each = work / "each", trace = work / "trace", out = work / "sheet.png";

    PictureOutputs outputs(bool overwrite = false) const {
        return {out.string(), each.string(), trace.string(), overwrite};
    }
    static void put(const fs::path& file) {
        fs::create_directories(file.parent_path());
        std::ofstream(file) << "earlier";
    }
    // The message of drawing the images first .. first + count - 1; nothing may be made then.
    std::string refusal(const PictureOutputs& to, std::int64_t first = 0, std::int64_t count = 4,
                        const std::vector<NamedPath>& inputs = {}) const {
        const Names before = names_in(work.path());
        try {
            PictureWriter(to, inputs, first, count);
        } catch (const UsageError& error) {
            CHECK(names_in(work.path()) == before);
            return error.what();
        }
        return "";
    }
};

}  // namespace

TEST_CASE("picture outputs: numbers of pictures by their names") {
    CHECK(picture_number("000000.png") == 0);
    CHECK(picture_number("000012-class-3.png") == 12);
    CHECK(picture_number("1000012.png") == 1000012);
    CHECK(picture_number("0016.png") == 16);
    for (const char* name : {"sheet.png", "012.png", "000012.jpg", "000012", "000012a.png", "", "trace.webp",
                             "99999999999999999999.png"})
        CHECK(picture_number(name) == -1);
}

TEST_CASE_FIXTURE(Folders, "picture outputs: --each refuses numbers that are there, whatever their class") {
    put(each / "000003-class-7.png");
    put(each / "notes.txt");
    CHECK(refusal(outputs()) == "--each " + each.string() +
                                    ": holds 000003-class-7.png of an earlier call: give another folder, or "
                                    "--overwrite");
    CHECK(refusal(outputs(), 3, 1) != "");
    CHECK(refusal(outputs(), 2, 1) == "");
    CHECK(refusal({"", each.string(), ""}, 4, 100) == "");  // a later part of the set
    CHECK(refusal(outputs(true)) == "");
    put(each / "0000.png");
    CHECK(refusal(outputs(), 4, 100).find("holds 0000.png") != std::string::npos);
}

TEST_CASE_FIXTURE(Folders, "picture outputs: --trace refuses a folder with numbered pictures") {
    for (const char* name : {"0007.png", "trace.webp", "000123-class-1.png"}) {
        CAPTURE(name);
        put(trace / name);
        CHECK(refusal(outputs()) == "--trace " + trace.string() + ": holds " + name +
                                        " of an earlier call: give another folder, or --overwrite");
        CHECK(refusal(outputs(true)) == "");
        fs::remove(trace / name);
    }
    put(trace / "other.png");
    CHECK(refusal(outputs()) == "");
}

TEST_CASE_FIXTURE(Folders, "picture outputs: --overwrite leaves one picture of each number") {
    for (const char* name : {"000000-class-1.png", "000001-class-1.png", "000001.png", "000002-class-1.png",
                             "000009-class-1.png", "notes.txt"})
        put(each / name);
    const PictureWriter writer(outputs(true), {}, 0, 3);
    const std::vector<std::uint8_t> pixels(2 * 4, 9);
    writer.write_each(0, pixels, 1, 2, std::vector<std::string>{"-class-1", "-class-2"});
    CHECK(names_in(each) == Names{"000000-class-1.png", "000001-class-2.png", "000002-class-1.png",
                                  "000009-class-1.png", "notes.txt"});
    CHECK(read_image(each / "000000-class-1.png", 1).pixels == std::vector<std::uint8_t>(4, 9));
}

TEST_CASE_FIXTURE(Folders, "picture outputs: a trace over a longer one leaves none of its frames") {
    for (const char* name : {"0000.png", "0001.png", "0002.png", "0003.png", "trace.webp", "notes.txt"})
        put(trace / name);
    TraceFolder folder(trace, 1, 2, 1);
    const std::vector<std::uint8_t> image(4, 7), known(4, 1);
    for (int i = 0; i < 2; ++i) folder.add(image, known);
    folder.write_animation();
    CHECK(names_in(trace) == Names{"0000.png", "0001.png", "trace.webp", "notes.txt"});
}

TEST_CASE_FIXTURE(Folders,
                  "picture outputs: inputs are kept, and the sheet keeps out of the numbered pictures") {
    const fs::path photo = work / "photos" / "photo.png";
    put(photo);
    const std::vector<NamedPath> inputs{{"--image", photo}};
    const std::string photos = photo.parent_path().string();
    CHECK(refusal({photo.string(), "", ""}, 0, 4, inputs).find("the same file as --image") !=
          std::string::npos);
    CHECK(refusal({"", photos, "", true}, 0, 4, inputs).find("--each") == 0);
    CHECK(refusal({"", "", photos, true}, 0, 4, inputs).find("--trace") == 0);
    CHECK(refusal({(each / "000001-class-2.png").string(), each.string(), ""}).find("give another name") !=
          std::string::npos);
    CHECK(refusal({(trace / "trace.webp").string(), "", trace.string()}).find("give another name") !=
          std::string::npos);
    CHECK(refusal({out.string(), each.string(), each.string()}, 0, 4, inputs) == "");
}
