#include "data/records/picture_captions.h"

#include <doctest/doctest.h>

#include <fstream>

#include "data/images/crop.h"
#include "data/images/image_file.h"
#include "data/records/pack.h"
#include "data/records/packed.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

void write_text(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

// 4 x 4 grey pixels, the first of which identifies the image.
void write_plain(const fs::path& path, int value) {
    fs::create_directories(path.parent_path());
    write_png(path, {4, 4, 3, std::vector<std::uint8_t>(48, static_cast<std::uint8_t>(value))});
}

struct Folders {
    TemporaryFolder folder;
    fs::path images = folder / "my images", out = folder / "out.bin", file = folder / "captions";

    PackReport pack(const fs::path& captions, double holdout = 0.0) const {
        PackOptions options{out, holdout, {}};
        options.captions = captions;
        return pack_folder(images, 4, false, options);
    }
    std::string refusal(const fs::path& captions) const {
        try {
            pack(captions);
        } catch (const Error& error) {
            CHECK_FALSE(fs::exists(out));
            return error.what();
        }
        return "";
    }
    // The message, without the file's name, of a file of captions with this text.
    std::string refusal_of_text(const std::string& text) const {
        write_text(file, text);
        const std::string message = refusal(file);
        CHECK(message.starts_with(file.string() + ": "));
        return message.substr(file.string().size() + 2);
    }
};

// Of each record its first byte and its captions: "10: a cat | a pet".
Names described(const fs::path& path) {
    const PackedFile file(path);
    file.verify();
    Names lines;
    for (std::int64_t i = 0; i < file.count(); ++i) {
        std::string line = std::to_string(file.pixels(i)[0]) + ":";
        for (const std::string& caption : captions_of(file, i)) line += " " + caption + " |";
        lines.push_back(line);
    }
    return lines;
}

const std::string coco = R"({"info": {"year": 2014}, "licenses": [],
    "images": [{"id": 70, "file_name": "a.png", "height": 4}, {"id": 9, "file_name": "c.png"},
               {"id": 20, "file_name": "./b.png"}, {"id": 8, "file_name": "elsewhere.png"}],
    "annotations": [{"id": 1, "image_id": 20, "caption": "Second picture.\n"},
                    {"id": 2, "image_id": 70, "caption": "Third, größer"}, {"id": 9, "image_id": 8, "caption": "no"},
                    {"id": 3, "image_id": 20, "caption": " the same again"}, {"image_id": 70, "caption": "  "}]})";

}  // namespace

TEST_CASE("pack captions: one a line in text files beside the pictures") {
    const Folders folders;
    write_plain(folders.images / "a.png", 10);
    write_text(folders.images / "a.txt",
               "\xef\xbb\xbf"
               "A cat.\r\n\r\n   \n\ta small \xff pet \nlast");
    write_plain(folders.images / "b.c.png", 20);
    write_text(folders.images / "b.c.TXT", "two dots");
    write_plain(folders.images / "d.png", 30);
    write_text(folders.images / "d.txt", "\n \n");
    write_plain(folders.images / "e.png", 40);
    write_text(folders.images / "f.txt", "a picture that is not there");
    write_text(folders.images / "g.txt", "");
    write_text(folders.images / "notes.md", "no picture");
    const PackReport report = folders.pack("");
    CHECK(described(folders.out) ==
          Names{"10: A cat. | a small \xEF\xBF\xBD pet | last |", "20: two dots |", "30:", "40:"});
    CHECK(report.packed == 4);
    CHECK(report.captions == 4);
    CHECK(report.without_captions.count == 2);
    CHECK(report.without_captions.first == Names{folders.images / "d.png", folders.images / "e.png"});
    CHECK(report.without_picture.first == Names{"f.txt"});
    REQUIRE(report.skipped.count == 1);
    CHECK(report.skipped.first.front().ends_with("notes.md: not a JPEG or PNG"));

    PackOptions plain{folders.out, 0.0, {}};
    CHECK(pack_folder(folders.images, 4, false, plain).captions == 0);
    CHECK_FALSE(PackedFile(folders.out).has_captions());
}

TEST_CASE("pack captions: class folders remain classes, and a holdout takes captions with it") {
    const Folders folders;
    for (int i = 0; i < 4; ++i)
        for (const std::string name : {"cat", "dog"}) {
            const std::string stem = name + "/deeper/" + std::to_string(i);
            write_plain(folders.images / (stem + ".png"), (name == "cat" ? 10 : 20) + i);
            write_text(folders.images / (stem + ".txt"), "a " + name + " " + std::to_string(i));
        }
    CHECK(folders.pack("", 0.25).captions == 8);
    CHECK(PackedFile(folders.out).classes() == Names{"cat", "dog"});
    CHECK(PackedFile(folders.out).label(1) == 1);
    CHECK(described(folders.out) == Names{"10: a cat 0 |", "20: a dog 0 |", "12: a cat 2 |", "22: a dog 2 |",
                                          "13: a cat 3 |", "23: a dog 3 |"});
    CHECK(described(holdout_path(folders.out)) == Names{"11: a cat 1 |", "21: a dog 1 |"});

    write_text(folders.file, "cat/deeper/1.png\tby a file\ncat/deeper/1.jpg\tanother\ndog/0.png\tno\n");
    const PackReport report = folders.pack(folders.file);
    CHECK(report.captions == 1);
    CHECK(report.without_picture.first == Names{"cat/deeper/1.jpg", "dog/0.png"});
    CHECK(report.skipped.count == 8);  // the text files
}

TEST_CASE("pack captions: MS-COCO's file, images in ascending id, captions in its order") {
    const Folders folders;
    const std::vector<std::pair<const char*, int>> pictures{
        {"0.png", 5}, {"a.png", 10}, {"b.png", 20}, {"c.png", 30}};
    for (const auto& [name, value] : pictures) write_plain(folders.images / name, value);
    const fs::path file = folders.images / "captions.json";  // in the folder, where it is no picture
    write_text(file, coco);
    const PackReport report = folders.pack(file);
    CHECK(described(folders.out) ==
          Names{"30:", "20: Second picture. | the same again |", "10: Third, größer |", "5:"});
    CHECK(report.skipped.count == 0);
    CHECK(report.captions == 3);
    CHECK(report.without_captions.first == Names{folders.images / "c.png", folders.images / "0.png"});
    CHECK(report.without_picture.first == Names{"elsewhere.png"});
    PackOptions options{file, 0.0, {}};
    options.captions = file;
    CHECK_THROWS_AS(pack_folder(folders.images, 4, false, options), UsageError);
    CHECK(fs::file_size(file) == coco.size());
}

TEST_CASE("pack captions: lines of a path, a tab and a caption") {
    const Folders folders;
    write_plain(folders.images / "a b.png", 10);
    write_plain(folders.images / "c.png", 20);
    write_text(folders.file,
               "\xef\xbb\xbf"
               "c.png\tone\twith a tab\r\na b.png\ttwo \xc3\n\n./c.png\t\nc.png\tthree");
    CHECK(folders.pack(folders.file).captions == 3);
    CHECK(described(folders.out) == Names{"10: two \xEF\xBF\xBD |", "20: one\twith a tab | three |"});
    for (const std::string ending : {"/", "/."}) {
        PackOptions options{folders.out, 0.0, {}};
        options.captions = folders.file;
        CHECK(pack_folder(folders.images.string() + ending, 4, false, options).captions == 3);
    }
}

TEST_CASE("pack captions: what cannot be read, or fits no picture, is refused by name") {
    const Folders folders;
    write_plain(folders.images / "a.png", 10);
    const std::string images = folders.images.string();
    CHECK(folders.refusal("") ==
          images + ": no image has captions in NAME.txt beside it; the first image is " + images + "/a.png");
    CHECK(folders.refusal(folders.folder / "none").find("none: cannot be opened") != std::string::npos);
    write_text(folders.file, "a.jpg\tone");
    CHECK(folders.refusal(folders.file) == images + ": no image has captions in " + folders.file.string() +
                                               "; the first image is " + images +
                                               "/a.png; the first one with captions is a.jpg");
    const std::string lines = " is not a picture's path, a tab and a caption; MS-COCO's JSON starts with {";
    CHECK(folders.refusal_of_text("a.png\tone\na.png two\n") == "line 2" + lines);
    CHECK(folders.refusal_of_text("\n\tone\n") == "line 2" + lines);
    CHECK(folders.refusal_of_text("[1, 2]") == "line 1" + lines);
    CHECK(folders.refusal_of_text("{") == "not JSON");
    CHECK(folders.refusal_of_text(coco.substr(0, coco.size() - 3)) == "not JSON");
    const std::string lists = "\", expected MS-COCO's: an object with \"images\" and \"annotations\"";
    CHECK(folders.refusal_of_text("{}") == "no list \"images" + lists);
    CHECK(folders.refusal_of_text(R"({"images": [], "annotations": {}})") == "no list \"annotations" + lists);
    const auto of_lists = [&](const std::string& pictures, const std::string& annotations) {
        return folders.refusal_of_text("{\"images\": [" + pictures + "], \"annotations\": [" + annotations +
                                       "]}");
    };
    CHECK(of_lists("7", "") == "images[0] has no number \"id\"");
    CHECK(of_lists(R"({"id": 1.5})", "") == "images[0] has no number \"id\"");
    CHECK(of_lists(R"({"id": 1, "file_name": 3})", "") == "images[0] has no text \"file_name\"");
    const std::string picture = R"({"id": 1, "file_name": "a.png"})";
    CHECK(of_lists(picture + "," + picture, "") == "images[1] has the id 1 of another one");
    CHECK(of_lists(picture, R"({"image_id": 2, "caption": "x"})") ==
          "annotations[0] is of image 2, which is none of its images");
    CHECK(of_lists(picture, R"({"image_id": 1})") == "annotations[0] has no text \"caption\"");
}

TEST_CASE("pack captions: the crop of MS-COCO instead of ADM's") {
    const Folders folders;
    Image image{40, 30, 3, {}};
    for (int i = 0; i < 40 * 30 * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * i / 7));
    fs::create_directories(folders.images);
    write_png(folders.images / "a.png", image);
    for (const CropRule crop : {CropRule::adm, CropRule::coco}) {
        PackOptions options{folders.out, 0.0, {}};
        options.crop = crop;
        pack_folder(folders.images, 12, false, options);
        const auto expected =
            planar_pixels(crop == CropRule::adm ? crop_centre(image, 12) : crop_square_lanczos(image, 12));
        CHECK(std::equal(expected.begin(), expected.end(), PackedFile(folders.out).pixels(0)));
    }
}
