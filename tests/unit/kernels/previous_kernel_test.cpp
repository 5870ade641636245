// launch() lets every kernel start before the one in front of it has ended (kernels/common/launch.cuh).
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

// The bodies of a source's kernels: what stands behind the brace of each definition.
std::vector<std::string> kernel_bodies(const std::string& source) {
    std::vector<std::string> bodies;
    const std::string keyword = "__global__";
    for (std::size_t at = source.find(keyword); at != std::string::npos;
         at = source.find(keyword, at + keyword.size())) {
        const std::size_t end = source.find_first_of("{;", at);
        if (end != std::string::npos && source[end] == '{') bodies.push_back(source.substr(end + 1));
    }
    return bodies;
}

bool waits_first(const std::string& body) {
    const std::size_t first = body.find_first_not_of(" \n");
    return first != std::string::npos &&
           std::string_view(body).substr(first).starts_with("wait_for_previous_kernel();");
}

}  // namespace

TEST_CASE("kernels: the first statement of each waits for the previous kernel") {
    std::size_t kernels = 0;
    for (const char* top : {"kernels", "runtime", "tests/unit", "tests/bench"})
        for (const auto& file : fs::recursive_directory_iterator(top)) {
            if (file.path().extension() != ".cu" && file.path().extension() != ".cuh") continue;
            std::ifstream stream(file.path());
            const std::string source(std::istreambuf_iterator<char>(stream), {});
            CAPTURE(file.path().string());
            for (const std::string& body : kernel_bodies(source)) {
                CAPTURE(body.substr(0, 100));
                CHECK(waits_first(body));
                ++kernels;
            }
        }
    CHECK(kernels >= 70);
}

TEST_CASE("kernels: one that waits late, or not at all, is seen") {
    const auto waits = [](const std::string& source) { return waits_first(kernel_bodies(source).at(0)); };
    CHECK(waits("__global__ void f(int* x) {\n    wait_for_previous_kernel();\n    *x = 1;\n}"));
    CHECK_FALSE(waits("__global__ void f(int* x) {\n    *x = 1;\n    wait_for_previous_kernel();\n}"));
    CHECK_FALSE(waits("__global__ void f(int* x) {\n}"));
    CHECK(kernel_bodies("__global__ void f(int* x);").empty());
}
