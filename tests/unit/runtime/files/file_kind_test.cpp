#include "runtime/files/file_kind.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/files/tensor_file.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/temporary_folder.h"

namespace {

using namespace std::string_literals;

// What opening a file of these bytes as a checkpoint says, without the file's name.
std::string refusal(const std::string& bytes) {
    const TemporaryFolder folder;
    const auto path = folder / "model.pth";
    std::ofstream(path, std::ios::binary) << bytes;
    try {
        open_tensor_file(path);
    } catch (const Error& error) {
        const std::string message = error.what(), name = path.string() + ": ";
        CHECK(message.starts_with(name));
        CHECK(message.find('\n') == std::string::npos);
        CHECK(message.find("should have") == std::string::npos);
        return message.substr(name.size());
    }
    return "opened";
}

// A tar archive's first header.
std::string tar(const std::string& name) {
    std::string header(1024, '\0');
    header.replace(0, name.size(), name);
    header.replace(257, 5, "ustar");
    return header;
}

}  // namespace

TEST_CASE("what is given in place of a checkpoint is named for what it is, with what to do") {
    struct Kind {
        std::string bytes, named;
    };
    const std::string rest(300, '\5');
    for (const Kind& kind : std::vector<Kind>{
             {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1048576\n", "git lfs pull"},
             {"/annex/objects/SHA256E-s10--abc.pth\n", "git annex get"},
             {"<!DOCTYPE html>\n<html><head></head></html>", "a web page (HTML)"},
             {"\xef\xbb\xbf\n  <HTML lang=en>", "a web page (HTML)"},
             {"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>", "XML text"},
             {"{\"metadata\": {}, \"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}",
              "a JSON index of shards"},
             {"{\n  \"img_size_list\": [16, 4, 1]\n}",
              "JSON text, not a checkpoint; a model's configuration"},
             {"{\"abcd\":{\"x\": 1}}", "JSON text"},
             {"\xef\xbb\xbf[1, 2]", "JSON text"},
             {"\x1f\x8b\x08" + rest, "gunzip"},
             {"BZh9" + rest, "bunzip2"},
             {"\xfd"s + "7zXZ\0"s + rest, "unxz"},
             {"\x28\xb5\x2f\xfd" + rest, "unzstd"},
             {"7z\xbc\xaf\x27\x1c" + rest, "a 7z archive"},
             {"Rar!\x1a\x07" + rest, "a rar archive"},
             {"\xff\xd8\xff\xe0" + rest, "a JPEG picture"},
             {"\x89PNG\r\n\x1a\n" + rest, "a PNG picture"},
             {"GIF89a" + rest, "a GIF picture"},
             {"RIFF\1\1\1\1WEBPVP8 " + rest, "a WebP picture"},
             {"%PDF-1.7\n", "a PDF document"},
             {"\x89HDF\r\n\x1a\n" + rest, "an HDF5 file"},
             {"\x93NUMPY\1" + rest, "a NumPy array"},
             {"GGUF" + rest, "a GGUF file"},
             {"fractpak" + rest, "a packed image file, not a checkpoint: --data"},
             {"fractok1" + rest, "a token file, not a checkpoint: train nat --tokens"},
             {"\x80\x04\x95\x10\0\0\0\0\0\0\0}"s + rest, "a Python pickle that torch.save did not write"},
             {"", "empty"},
             {" \r\n\t", "blank text"},
             {std::string(4096, '\0'), "zeros"},
             {"step,loss\n1,2\n", "text that starts with \"step,loss\", not a checkpoint"},
             {std::string(100, 'a'), "text that starts with \"" + std::string(40, 'a') + "...\""},
             {"\xff\xfe{\0}\0"s, "UTF-16 text"},
             {tar("model.pth"), "unpack it (tar xf) and give the file in it, perhaps model.pth"},
             {tar("two\nlines"), "perhaps two\\nlines"},
             {rest, "neither a safetensors file nor torch's"},
         }) {
        const std::string message = refusal(kind.bytes);
        CAPTURE(message);
        CHECK_MESSAGE(message.find(kind.named) != std::string::npos, kind.named);
    }
}

TEST_CASE("a checkpoint in a zip archive is named, and so is a folder") {
    const TemporaryFolder folder;
    const auto zip = [&](const std::string& entry) {
        pth_writer::write_zip(folder / "a.zip",
                              {{"__MACOSX/._model.pth", "x"}, {"readme.txt", "x"}, {entry, "x"}});
        std::string message;
        CHECK_THROWS_AS(open_tensor_file(folder / "a.zip"), Error);
        try {
            open_tensor_file(folder / "a.zip");
        } catch (const Error& error) {
            message = error.what();
        }
        return message;
    };
    for (const std::string entry :
         {"model.pth", "runs/last.safetensors", "a.ckpt", "b.pt", "pytorch_model.bin"})
        CHECK(zip(entry).ends_with("a.zip: a zip archive that holds " + entry +
                                   ": unzip it and give that file"));
    CHECK(zip("w.npy").find("NumPy's .npz") != std::string::npos);
    CHECK(zip("letter.txt").find("not torch's") != std::string::npos);

    CHECK_THROWS_WITH_AS(open_tensor_file(folder.path()),
                         doctest::Contains("a folder, expected a checkpoint"), Error);
    std::ofstream(folder / "last.safetensors") << "x";
    CHECK_THROWS_WITH_AS(open_tensor_file(folder.path()), doctest::Contains("such as last.safetensors in it"),
                         Error);
}
