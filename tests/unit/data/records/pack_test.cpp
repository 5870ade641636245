#include "data/records/pack.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <string>

#include "data/images/crop.h"
#include "data/images/image_file.h"
#include "data/images/orientation.h"
#include "data/records/packed.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

using Names = std::vector<std::string>;

void write_text(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

// An image of 4 x 4 equal pixels, into folders that are made if need be.
void write_plain(const std::filesystem::path& path, int red, int green = 50, int blue = 60) {
    std::filesystem::create_directories(path.parent_path());
    Image image{4, 4, 3, {}};
    for (int i = 0; i < 16; ++i)
        for (const int value : {red, green, blue}) image.pixels.push_back(static_cast<std::uint8_t>(value));
    write_png(path, image);
}

// First byte of each record, which identifies the image.
std::vector<int> first_bytes(const std::filesystem::path& path) {
    const PackedFile file(path);
    file.verify();
    std::vector<int> values;
    for (std::int64_t i = 0; i < file.count(); ++i) values.push_back(file.pixels(i)[0]);
    return values;
}

std::vector<int> labels(const std::filesystem::path& path) {
    const PackedFile file(path);
    std::vector<int> values;
    for (std::int64_t i = 0; i < file.count(); ++i) values.push_back(file.label(i));
    return values;
}

std::string message_of(const auto& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

// A folder of images beside the packed file.
struct Folders {
    TemporaryFolder folder;
    std::filesystem::path images = folder / "my images", out = folder / "out.bin";

    PackReport pack(double holdout = 0.0, bool grey = false, int size = 4) const {
        return pack_folder(images, size, grey, {out, holdout, {}});
    }
    std::string refusal(double holdout = 0.0, int size = 4) const {
        const std::string message = message_of([&] { pack(holdout, false, size); });
        CHECK_FALSE(std::filesystem::exists(out));
        CHECK_FALSE(std::filesystem::exists(holdout_path(out)));
        CHECK_FALSE(std::filesystem::exists(folder / "out.bin.partial"));
        return message;
    }
};

constexpr std::size_t record_bytes = 3073;

// One record of CIFAR-10: the label, then 3072 bytes that count up from `first`.
std::string record(int label, int first) {
    std::string bytes(1, static_cast<char>(label));
    for (int i = 0; i < 3072; ++i) bytes += static_cast<char>(first + i);
    return bytes;
}

struct Cifar {
    TemporaryFolder folder;
    std::filesystem::path out = folder / "out.bin", test = folder / "test_batch.bin";

    PackReport pack(const std::string& split = "test", double holdout = 0.0) const {
        return pack_cifar10(folder.path(), split, {out, holdout, {}});
    }
    // The message of packing these bytes as the test set; nothing may come of it.
    std::string refusal(const std::string& bytes) const {
        write_text(test, bytes);
        const std::string message = message_of([&] { pack(); });
        CHECK_FALSE(std::filesystem::exists(out));
        CHECK_FALSE(std::filesystem::exists(folder / "out.bin.partial"));
        return message;
    }
};

}  // namespace

TEST_CASE("pack: class folders are labels in the order of their names, and alternate") {
    const Folders folders;
    write_plain(folders.images / "zebra" / "1.png", 10);
    write_plain(folders.images / "Über uns" / "two words.png", 20);
    write_plain(folders.images / "Über uns" / "Ä.png", 21);
    write_plain(folders.images / "a b" / "10.png", 30);
    write_plain(folders.images / "a b" / "9.png", 31);
    write_plain(folders.images / ".hidden" / "1.png", 99);
    write_plain(folders.images / "zebra" / ".hidden.png", 99);
    write_text(folders.images / "__MACOSX" / "zebra" / "._1.png", "resource fork");
    const PackReport report = folders.pack();
    CHECK(report.packed == 5);
    CHECK(report.skipped.count == 0);
    CHECK(report.held_out == 0);
    CHECK(PackedFile(folders.out).classes() == Names{"a b", "zebra", "Über uns"});
    CHECK(first_bytes(folders.out) == std::vector<int>{30, 20, 10, 31, 21});
    CHECK(labels(folders.out) == std::vector<int>{0, 2, 1, 0, 2});
    CHECK_FALSE(std::filesystem::exists(holdout_path(folders.out)));
}

TEST_CASE("pack: a flat folder has no labels, and pixels become planes") {
    const Folders folders;
    write_plain(folders.images / "b.png", 1, 2, 3);
    write_plain(folders.images / "a.jpg", 4, 5, 6);  // a PNG by its bytes
    const PackReport report = folders.pack();
    CHECK(report.packed == 2);
    const PackedFile file(folders.out);
    CHECK(file.classes().empty());
    CHECK(labels(folders.out) == std::vector<int>{-1, -1});
    for (int i = 0; i < 48; ++i) {
        CHECK(file.pixels(0)[i] == 4 + i / 16);
        CHECK(file.pixels(1)[i] == 1 + i / 16);
    }
    CHECK(file.channels() == 3);

    folders.pack(0.0, true, 2);
    const PackedFile grey(folders.out);
    CHECK(grey.channels() == 1);
    CHECK(grey.size() == 2);
    CHECK(grey.record_bytes() == 4);
}

TEST_CASE("pack: what is no sound image is skipped with its reason") {
    const Folders folders;
    write_plain(folders.images / "cat" / "good.png", 10);
    write_text(folders.images / "cat" / "note.jpg", "this is a text");
    write_text(folders.images / "cat" / "empty.png", "");
    write_text(folders.images / "cat" / "deeper" / "list.txt", "a text");
    std::filesystem::create_symlink("nowhere", folders.images / "cat" / "link.png");
    write_plain(folders.images / "stray.png", 11);
    const PackReport report = folders.pack();
    CHECK(report.packed == 1);
    REQUIRE(report.skipped.count == 5);
    REQUIRE(report.skipped.first.size() == 5);
    const Names endings{"stray.png: not in a class folder", "empty.png: empty", "link.png: not a file",
                        "note.jpg: not a JPEG or PNG", "list.txt: not a JPEG or PNG"};
    for (std::size_t i = 0; i < endings.size(); ++i) CHECK(report.skipped.first[i].ends_with(endings[i]));

    for (int i = 0; i < 20; ++i)
        write_text(folders.images / "cat" / ("text " + std::to_string(i) + ".jpg"), "a text");
    const PackReport many = folders.pack();
    CHECK(many.skipped.count == 25);
    CHECK(many.skipped.first.size() == NamedFiles::maximum_named);
    CHECK(first_bytes(folders.out) == std::vector<int>{10});
}

TEST_CASE("pack: a folder without images leaves nothing") {
    const Folders folders;
    CHECK(folders.refusal().ends_with("my images: cannot be listed: No such file or directory"));
    std::filesystem::create_directories(folders.images);
    CHECK(folders.refusal().ends_with("my images: holds no JPEG or PNG image"));
    write_text(folders.images / "note.jpg", "this is a text");
    CHECK(folders.refusal().ends_with("note.jpg: not a JPEG or PNG"));
    std::filesystem::remove(folders.images / "note.jpg");
    write_plain(folders.images / "cat" / "good.png", 10);
    CHECK(folders.refusal(0.0, 0).find("images of size 0, expected 1 to") != std::string::npos);
    CHECK(folders.refusal(0.0, packed_maximum_size + 1).find("expected 1 to 4096") != std::string::npos);
    folders.pack();

    // A previous packed file remains when packing fails.
    std::filesystem::remove(folders.images / "cat" / "good.png");
    CHECK_THROWS_AS(folders.pack(), Error);
    CHECK(first_bytes(folders.out) == std::vector<int>{10});
}

TEST_CASE("pack: a class folder without pictures is refused by its name") {
    const Folders folders;
    write_plain(folders.images / "dog" / "1.png", 10);
    std::filesystem::create_directories(folders.images / "cat" / "empty");
    const std::string expected = "my images/cat: a class folder that holds no JPEG or PNG image: ";
    CHECK(folders.refusal().find(expected) != std::string::npos);
    write_text(folders.images / "cat" / "note.jpg", "this is a text");
    CHECK(folders.refusal().find(expected) != std::string::npos);
    write_text(folders.images / "cat" / "damaged.png", "\x89PNG\r\n\x1A\n");
    CHECK(folders.refusal().find(expected) != std::string::npos);
    write_plain(folders.images / "cat" / "empty" / "1.png", 20);
    CHECK(folders.pack().packed == 2);
}

TEST_CASE("pack: pictures in folders of a class folder, in the order that torchvision lists them") {
    const Folders folders;
    const auto cat = folders.images / "cat";
    write_plain(cat / "b" / "1.png", 4);
    write_plain(cat / "b-c" / "1.png", 5);  // before b/a: '-' comes before '/'
    write_plain(cat / "b" / "a" / "deep" / "1.png", 7);
    write_plain(cat / "b" / "a" / "2.PNG", 6);
    write_plain(cat / "z.png", 3);
    write_plain(cat / "__MACOSX" / "1.png", 99);
    write_plain(cat / ".hidden" / "1.png", 99);
    CHECK(folders.pack().packed == 5);
    CHECK(first_bytes(folders.out) == std::vector<int>{3, 4, 5, 6, 7});
    CHECK(labels(folders.out) == std::vector<int>{0, 0, 0, 0, 0});
    CHECK(PackedFile(folders.out).classes() == Names{"cat"});

    CHECK(folders.pack().only_class.empty());
    std::filesystem::remove(cat / "z.png");
    CHECK(folders.pack().only_class == cat);
    write_plain(folders.images / "dog" / "1.png", 8);
    CHECK(folders.pack().only_class.empty());
}

TEST_CASE("pack: links among folders are followed, and end") {
    const Folders folders;
    const auto cat = folders.images / "cat", dog = folders.images / "dog";
    write_plain(cat / "1.png", 1);
    write_plain(dog / "more" / "2.png", 2);
    write_plain(folders.folder / "elsewhere" / "3.png", 3);
    std::filesystem::create_directory_symlink(folders.folder / "elsewhere", cat / "linked");
    std::filesystem::create_directory_symlink(".", cat / "itself");
    std::filesystem::create_directory_symlink("..", cat / "all images");
    std::filesystem::create_directory_symlink("../../dog", dog / "more" / "way back");
    CHECK(folders.pack().packed == 3);
    CHECK(first_bytes(folders.out) == std::vector<int>{1, 2, 3});
    CHECK(labels(folders.out) == std::vector<int>{0, 1, 0});
}

TEST_CASE("pack: train and val above the classes are refused, with the commands that work") {
    const Folders folders;
    for (const char* split : {"val", "train"})
        for (const char* name : {"cat", "dog"}) write_plain(folders.images / split / name / "1.png", 1);
    const std::string images = folders.images.string(), out = folders.out.string(),
                      holdout = holdout_path(folders.out).string();
    CHECK(folders.refusal() ==
          images +
              ": holds train/, val/, parts of a data set with the classes in them: pack each by itself: " +
              "build/data pack --images '" + images + "/train' --size 4 --out '" + out +
              "' && build/data pack --images '" + images + "/val' --size 4 --out '" + holdout + "'");
    write_plain(folders.images / "Test" / "1.png", 1);
    CHECK(folders.refusal().find(": holds train/, Test/, val/, parts") != std::string::npos);
    std::filesystem::remove_all(folders.images / "val");
    std::filesystem::remove_all(folders.images / "Test");
    CHECK(folders.refusal().find(": holds train/, parts") != std::string::npos);
    // A class of that name among others, and parts without classes in them, which are classes themselves.
    write_plain(folders.images / "ship" / "1.png", 2);
    CHECK(folders.pack().packed == 3);
    std::filesystem::remove_all(folders.images);
    for (const char* split : {"val", "train"}) write_plain(folders.images / split / "1.png", 1);
    CHECK(folders.pack().packed == 2);
}

TEST_CASE("pack: an output over one of the pictures is refused, one over an earlier packing is not") {
    const Folders folders;
    const auto picture = folders.images / "1.png", link = folders.folder / "link.png";
    write_plain(picture, 1);
    write_plain(folders.images / "2.holdout.png", 2);
    std::filesystem::create_symlink(picture, link);
    const auto refusal = [&](const std::filesystem::path& out, double holdout = 0.0) {
        return message_of([&] { pack_folder(folders.images, 4, false, {out, holdout, {}}); });
    };
    CHECK(refusal(picture).starts_with("--out " + picture.string() + ": the same file as --images "));
    CHECK(refusal(link).starts_with("--out " + link.string() + ": the same file as --images "));
    CHECK(refusal(folders.images / "2.png", 0.5).starts_with("--out, its holdout "));
    CHECK(read_image(picture, 1).width == 4);
    CHECK(refusal(folders.images / "packed.bin") == "");
    CHECK(refusal(folders.images / "packed.bin") == "");  // skipped as a picture, and replaced
    CHECK(first_bytes(folders.images / "packed.bin") == std::vector<int>{1, 2});

    const Cifar cifar;
    write_text(cifar.test, record(0, 1));
    const auto batch = cifar.folder / "data_batch_1.bin";
    write_text(batch, record(1, 1));
    for (const auto& out : {cifar.test, batch})
        CHECK(message_of([&] {
                  pack_cifar10(cifar.folder.path(), "test", {out, 0.0, {}});
              }).starts_with("--out " + out.string() + ": the same file as --cifar10 "));
}

TEST_CASE("pack: photographs lie as in their files, and with exif as viewers show them") {
    const Folders folders;
    std::filesystem::create_directories(folders.images);
    std::filesystem::copy_file("tests/fuzz/corpus/image/jpeg-turned", folders.images / "turned.jpg");
    std::filesystem::copy_file("tests/fuzz/corpus/image/jpeg", folders.images / "plain.jpg");
    const auto packed = [&](bool exif) {
        CHECK(pack_folder(folders.images, 4, false, {folders.out, 0.0, {}, exif}).turned == 1);
        const PackedFile file(folders.out);
        return std::vector<std::uint8_t>(file.pixels(1), file.pixels(1) + file.record_bytes());
    };
    const OrientedImage turned = read_oriented_image(folders.images / "turned.jpg", 3);
    REQUIRE(turned.orientation == 6);
    CHECK(packed(false) == planar_pixels(crop_centre(turned.image, 4)));
    CHECK(packed(true) == planar_pixels(crop_centre(upright(turned.image, 6), 4)));
    CHECK(packed(true) != packed(false));
}

TEST_CASE("pack: a holdout takes its fraction of every class, evenly") {
    const Folders folders;
    for (int i = 0; i < 20; ++i) write_plain(folders.images / "cat" / (std::to_string(100 + i) + ".png"), i);
    for (int i = 0; i < 8; ++i) write_plain(folders.images / "dog" / (std::to_string(i) + ".png"), 100 + i);
    const PackReport report = folders.pack(0.25);
    CHECK(report.packed == 21);
    CHECK(report.held_out == 7);
    const auto held_out = first_bytes(holdout_path(folders.out)), kept = first_bytes(folders.out);
    CHECK(labels(holdout_path(folders.out)) == std::vector<int>{0, 1, 0, 0, 0, 1, 0});
    CHECK(held_out == std::vector<int>{1, 101, 5, 9, 13, 105, 17});
    std::vector<int> all = kept;
    all.insert(all.end(), held_out.begin(), held_out.end());
    std::sort(all.begin(), all.end());
    std::vector<int> expected;
    for (int i = 0; i < 20; ++i) expected.push_back(i);
    for (int i = 0; i < 8; ++i) expected.push_back(100 + i);
    CHECK(all == expected);
    CHECK(PackedFile(holdout_path(folders.out)).classes() == Names{"cat", "dog"});

    CHECK(holdout_path("some dir/name.bin") == "some dir/name.holdout.bin");
    CHECK(holdout_path("name") == "name.holdout");
}

TEST_CASE("pack: a holdout that cannot be is refused") {
    const Folders folders;
    for (int i = 0; i < 3; ++i) write_plain(folders.images / (std::to_string(i) + ".png"), i);
    for (const double fraction : {-0.1, 1.0, 2.0, std::nan(""), std::numeric_limits<double>::infinity()})
        CHECK(folders.refusal(fraction).find("expected a fraction from 0 to below 1") != std::string::npos);
    CHECK(folders.refusal(0.01) ==
          "a holdout of 0.01 divides the images into 3 and 0, expected at least one in each");
    CHECK(folders.refusal(0.99) ==
          "a holdout of 0.99 divides the images into 0 and 3, expected at least one in each");
}

TEST_CASE("pack: progress ends with all images, and giving up there leaves nothing") {
    const Folders folders;
    for (int i = 0; i < 3; ++i) write_plain(folders.images / (std::to_string(i) + ".png"), i);
    std::int64_t last_done = 0, last_total = 0;
    const PackProgress note = [&](std::int64_t done, std::int64_t total) {
        last_done = done, last_total = total;
    };
    pack_folder(folders.images, 4, false, {folders.folder / "noted.bin", 0.0, note});
    CHECK(last_done == 3);
    CHECK(last_total == 3);
    const PackProgress give_up = [](std::int64_t, std::int64_t) { fail("given up"); };
    CHECK(message_of([&] {
              pack_folder(folders.images, 4, false, {folders.out, 0.0, give_up});
          }) == "given up");
    CHECK_FALSE(std::filesystem::exists(folders.out));
}

TEST_CASE("pack: CIFAR-10's five training files and its test file") {
    const Cifar cifar;
    for (int i = 1; i <= 5; ++i)
        write_text(cifar.folder / ("data_batch_" + std::to_string(i) + ".bin"),
                   record(i, 10 * i) + (i == 3 ? record(9, 77) : ""));
    write_text(cifar.test, record(7, 200));
    const PackReport report = cifar.pack("train");
    CHECK(report.packed == 6);
    CHECK(report.skipped.count == 0);
    CHECK(first_bytes(cifar.out) == std::vector<int>{10, 20, 30, 77, 40, 50});
    CHECK(labels(cifar.out) == std::vector<int>{1, 2, 3, 9, 4, 5});
    {
        const PackedFile file(cifar.out);
        CHECK(file.size() == 32);
        CHECK(file.channels() == 3);
        CHECK(file.classes().size() == 10);
        CHECK(file.classes().front() == "airplane");
        CHECK(file.classes().back() == "truck");
        for (int i = 0; i < 3072; ++i) REQUIRE(file.pixels(5)[i] == static_cast<std::uint8_t>(50 + i));
    }
    cifar.pack();
    CHECK(first_bytes(cifar.out) == std::vector<int>{200});

    std::filesystem::remove(cifar.folder / "data_batch_4.bin");
    CHECK(message_of([&] {
              cifar.pack("train");
          }).ends_with("data_batch_4.bin: cannot be read: No such file or directory"));
    CHECK(message_of([&] { cifar.pack("valid"); }) ==
          "CIFAR-10 has no split \"valid\", expected train or test");
    CHECK(first_bytes(cifar.out) == std::vector<int>{200});
}

TEST_CASE("pack: CIFAR-10 files that are cut or damaged are refused by name and record") {
    const Cifar cifar;
    const std::string two = record(0, 1) + record(9, 2);
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, record_bytes - 1, record_bytes + 1, 2 * record_bytes - 1}) {
        CAPTURE(length);
        CHECK(cifar.refusal(two.substr(0, length))
                  .ends_with(fmt::format("test_batch.bin: {} bytes long, expected a multiple of 3073, the "
                                         "length of a CIFAR-10 record",
                                         length)));
    }
    CHECK(cifar.refusal(two + record(10, 3))
              .ends_with("test_batch.bin: record 2 has label 10, expected 0 to 9"));
    CHECK(cifar.refusal(record(255, 3)).ends_with("test_batch.bin: record 0 has label 255, expected 0 to 9"));
}

TEST_CASE("pack: CIFAR-10's class names, if they are there") {
    const Cifar cifar;
    write_text(cifar.test, record(0, 1));
    write_text(cifar.folder / "batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\nlast one\n\n");
    cifar.pack();
    CHECK(PackedFile(cifar.out).classes() == Names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "last one"});
    write_text(cifar.folder / "batches.meta.txt",
               "\xef\xbb\xbf"
               "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    cifar.pack();
    CHECK(PackedFile(cifar.out).classes().front() == "a");
    write_text(cifar.folder / "batches.meta.txt", "a\nb\n");
    CHECK(message_of([&] { cifar.pack(); }).ends_with("batches.meta.txt: 2 class names, expected 10"));
}
