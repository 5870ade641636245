// Programs of the build with the CUDA backend, linked by nvcc's toolkit, on a machine without a GPU (`make
// test-cuda`). CUDA_BUILD names the folder of the build.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/end_to_end/command.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/skip.h"

TEST_CASE("CUDA build: without a GPU, --device cuda is refused in one line") {
    const char* folder = std::getenv("CUDA_BUILD");
    if (folder == nullptr) return skip_test("no CUDA build (`make test-cuda`)");
    if (std::filesystem::exists("/dev/nvidiactl")) return skip_test("this machine has a GPU");
    const TestDirectory work;
    work.make_fractals("data.bin", 4);
    work.make_config("model.json", 10);
    const Outcome outcome =
        Command(std::string(folder) + "/train", work.training("run", 1, {"--device", "cuda"})).finish();
    CHECK(outcome.exit_code == 2);
    CHECK(outcome.output.empty());
    CHECK(outcome.errors.starts_with("train: --device cuda: "));
    CHECK(is_one_line(outcome.errors));
    CHECK_FALSE(std::filesystem::exists(work.at("run")));
}
