// Training, sampling and evaluation with --device cuda: the CPU's results, refusal of unsuitable devices, and
// checkpoints that are independent of the device. In a build without CUDA, the refusal of --device cuda.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/device/device.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/skip.h"

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/emulated_device.h"
#endif

namespace {

const Words on_cpu{"--device", "cpu"}, in_fp32{"--device", "cuda", "--precision", "fp32"},
    in_bf16{"--device", "cuda"};

#if __has_include("emulated/runtime_calls.h")
// EMULATED_DEVICE of the programs started during its lifetime.
struct EmulatedDeviceSetting {
    explicit EmulatedDeviceSetting(const char* settings) {
        emulator::emulated_device();  // of this program: has read the variable from now on
        if (const char* value = std::getenv("EMULATED_DEVICE")) before = value;
        ::setenv("EMULATED_DEVICE", settings, 1);
    }
    ~EmulatedDeviceSetting() {
        if (before.empty())
            ::unsetenv("EMULATED_DEVICE");
        else
            ::setenv("EMULATED_DEVICE", before.c_str(), 1);
    }
    EmulatedDeviceSetting(const EmulatedDeviceSetting&) = delete;
    EmulatedDeviceSetting& operator=(const EmulatedDeviceSetting&) = delete;
    std::string before;
};
#else
struct EmulatedDeviceSetting {
    explicit EmulatedDeviceSetting(const char*) {}
};
#endif

struct DeviceBench {
    DeviceBench() {
        use_model(R"("generator_type_list": ["ar", "ar", "ar"])");
        const Outcome outcome =
            work.run("data", {"fractals", "--out", work.path("data.bin"), "--size", "4", "--count", "40"});
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }

    // Of sixteen pixels: a device that the CPU plays is slow.
    void use_model(const std::string& generators) const {
        work.write(
            "model.json",
            R"({"img_size_list": [4, 2, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1], "num_heads_list": [2, 2, 2],
                "class_num": 10, )" +
                generators + "}");
    }
    void use_mar() const {
        use_model(R"("generator_type_list": ["mar", "mar", "ar"], "num_conds": 5, "guiding_pixel": true)");
    }
    // `said`: a part of the line on stderr; "": none.
    LogTable train(const std::string& run, std::int64_t steps, const Words& more,
                   const std::string& said = "") const {
        const Outcome outcome = work.run("train", work.training(run, steps, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        if (said.empty())
            CHECK(outcome.errors == "");
        else
            CHECK_MESSAGE(outcome.errors.find(said) != std::string::npos, outcome.errors);
        return read_log(work.at(run));
    }
    std::string checkpoint(const std::string& run) const { return work.path(run + "/last.safetensors"); }

    double bits_per_dim(const std::string& run, const Words& more) const {
        const Outcome outcome = work.run("sample", Words{"evaluate", "nll", "--checkpoint", checkpoint(run),
                                                         "--data", work.path("data.bin"), "--json"} +
                                                       more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return nlohmann::json::parse(outcome.output)["bits_per_dim"];
    }
    // A sheet of two images.
    std::string draw(const std::string& name, const Words& more) const {
        const Outcome outcome = work.run("sample", Words{"fractal", "--checkpoint", checkpoint("run"),
                                                         "--count", "2", "--out", work.path(name)} +
                                                       more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return read_file(work.at(name));
    }

    // One line on stderr that names all of `parts`, the exit code, and nothing changed on disk.
    void check_refused(const std::string& program, const Words& arguments, int exit_code,
                       const Words& parts) const {
        const auto before = work.listing();
        const Outcome outcome = work.run(program, arguments);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == exit_code);
        CHECK(outcome.output.empty());
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.starts_with(program + ": "));
        for (const std::string& part : parts)
            CHECK_MESSAGE(outcome.errors.find(part) != std::string::npos, part);
        CHECK(work.listing() == before);
    }

    TestDirectory work;
    const EmulatedDeviceSetting open{"host=allowed"};  // faster, and one test below is for the other setting
};

// The curves of two runs, up to `tolerance` of each number.
void check_same_curve(const LogTable& ours, const LogTable& theirs, double tolerance) {
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i)
        for (const char* column : {"step", "loss", "bits_per_dim", "learning_rate"}) {
            CAPTURE(i);
            CAPTURE(column);
            CHECK(std::stod(ours[i].at(column)) ==
                  doctest::Approx(std::stod(theirs[i].at(column))).epsilon(tolerance));
        }
}

}  // namespace

TEST_CASE_FIXTURE(DeviceBench, "end to end: --device and --precision that are refused") {
    for (const auto& [more, parts] :
         std::vector<std::pair<Words, Words>>{{{"--precision", "fp16"}, {"fp16", "fp32 or bf16"}},
                                              {{"--device", "gpu"}, {"--device gpu", "cpu or cuda"}}})
        check_refused("train", work.training("new", 1, more), 2, parts);
}

TEST_CASE_FIXTURE(DeviceBench, "end to end: --device cuda in a build without the CUDA backend") {
    if (has_cuda_backend()) return skip_test("a CUDA backend in this build");
    train("run", 1, {});
    check_refused("train", work.training("new", 1, in_bf16), 2, {"--device cuda", "no CUDA backend"});
    check_refused("sample",
                  Words{"fractal", "--checkpoint", checkpoint("run"), "--out", work.path("a.png")} + in_bf16,
                  2, {"--device cuda", "no CUDA backend"});
    check_refused(
        "sample",
        Words{"evaluate", "nll", "--checkpoint", checkpoint("run"), "--data", work.path("data.bin")} +
            in_bf16,
        2, {"--device cuda", "no CUDA backend"});
}

TEST_CASE_FIXTURE(DeviceBench, "end to end: the device's losses are the CPU's, in bf16 within 1 %") {
    if (!has_cuda_backend()) return skip_test(no_cuda_backend);
    for (const bool mar : {false, true}) {
        CAPTURE(mar);
        if (mar) use_mar();
        const std::string kind = mar ? "mar-" : "ar-";
        const Words dropping{"--dropout", "0.1"};
        const LogTable cpu = train(kind + "cpu", 5, dropping);
        check_same_curve(train(kind + "fp32", 5, dropping + in_fp32), cpu, 1e-4);
        check_same_curve(train(kind + "bf16", 5, dropping + in_bf16), cpu, 0.01);
        CHECK(bits_per_dim(kind + "cpu", in_fp32) ==
              doctest::Approx(bits_per_dim(kind + "cpu", on_cpu)).epsilon(1e-5));
        CHECK(bits_per_dim(kind + "cpu", in_bf16) ==
              doctest::Approx(bits_per_dim(kind + "cpu", on_cpu)).epsilon(0.01));
        CHECK(bits_per_dim(kind + "bf16", on_cpu) ==
              doctest::Approx(bits_per_dim(kind + "cpu", on_cpu)).epsilon(0.01));
    }
}

TEST_CASE_FIXTURE(DeviceBench, "end to end: a run goes on where another device left it") {
    if (!has_cuda_backend()) return skip_test(no_cuda_backend);
    const LogTable whole = train("whole", 5, on_cpu);
    for (const auto& [first, then] : {std::pair{on_cpu, in_fp32}, {in_fp32, on_cpu}}) {
        const std::string run = "from-" + first[1];
        train(run, 3, first);
        check_same_curve(train(run, 5, then, "began with \"" + first[1] + " "), whole, 1e-4);
    }
    // --init-from takes the weights alone.
    const Words start{"--init-from", checkpoint("from-cuda")};
    const LogTable gpu = train("device", 2, start + in_fp32), cpu = train("cpu", 2, start);
    check_same_curve(gpu, cpu, 1e-4);
    CHECK(gpu[0].at("loss") != whole[0].at("loss"));
}

TEST_CASE_FIXTURE(DeviceBench,
                  "end to end: the same bits again, resumed or not, with evaluations or without") {
    if (!has_cuda_backend()) return skip_test(no_cuda_backend);
    for (const Words& precision : {in_fp32, in_bf16}) {
        const std::string name = precision == in_bf16 ? "bf16-" : "fp32-";
        const Words rule = precision + Words{"--ema", "0.5", "--dropout", "0.1"};
        train(name + "whole", 5, rule);
        // The average takes the weights' place while a sheet is drawn after step 2, and they come back.
        train(name + "resumed", 2, rule);
        train(name + "resumed", 5, rule);
        CHECK(differences(checkpoint(name + "resumed"), checkpoint(name + "whole")) == "");
        train(name + "watched", 5, rule + Words{"--evaluate-every", "2"});
        CHECK(differences(checkpoint(name + "watched"), checkpoint(name + "whole")) == "");
        const double average = bits_per_dim(name + "whole", {"--weights", "average"});
        CHECK(bits_per_dim(name + "whole", precision + Words{"--weights", "average"}) ==
              doctest::Approx(average).epsilon(precision == in_bf16 ? 2e-3 : 1e-5));
        CHECK(std::abs(bits_per_dim(name + "whole", {"--weights", "newest"}) / average - 1) > 2e-3);
    }
}

TEST_CASE_FIXTURE(DeviceBench, "end to end: on the device, too, chunks and recomputation change nothing") {
    if (!has_cuda_backend()) return skip_test(no_cuda_backend);
    for (const bool mar : {false, true}) {
        CAPTURE(mar);
        if (mar) use_mar();
        const std::string kind = mar ? "mar-" : "ar-";
        const Words rule = in_fp32 + Words{"--dropout", "0.1"};
        const LogTable whole = train(kind + "whole", 2, rule);
        train(kind + "recomputed", 2, rule + Words{"--recompute"});
        CHECK(differences(checkpoint(kind + "recomputed"), checkpoint(kind + "whole")) == "");
        check_same_curve(train(kind + "chunks", 2, rule + Words{"--chunks", "3,5,7"}), whole, 1e-5);
    }
}

TEST_CASE_FIXTURE(DeviceBench, "end to end: the device draws the same images each time, whatever the batch") {
    if (!has_cuda_backend()) return skip_test(no_cuda_backend);
    train("run", 3, {});
    for (const Words& precision : {in_fp32, in_bf16}) {
        const std::string sheet = draw("a.png", precision + Words{"--cfg", "3"});
        CHECK(draw("b.png", precision + Words{"--cfg", "3"}) == sheet);
        CHECK(draw("c.png", precision + Words{"--cfg", "3", "--batch", "1"}) == sheet);
        CHECK(draw("d.png", precision + Words{"--cfg", "3", "--seed", "1"}) != sheet);
    }
}

#if __has_include("emulated/runtime_calls.h")

TEST_CASE_FIXTURE(DeviceBench, "end to end: devices that do not serve are refused in one line") {
    train("run", 1, {});
    const Words sample = Words{"fractal", "--checkpoint", checkpoint("run"), "--out", work.path("a.png"),
                               "--count", "500",          "--batch",         "500"} +
                         in_bf16,
                nll = Words{"evaluate",        "nll",    "--checkpoint",
                            checkpoint("run"), "--data", work.path("data.bin")} +
                      in_bf16;
    struct Case {
        const char* device;
        int exit_code;
        Words train, sample, nll;
    };
    for (const Case& each : std::vector<Case>{
             {"devices=0", 2, {"no CUDA device"}, {"no CUDA device"}, {"no CUDA device"}},
             {"capability=7.5", 2, {"sm_75", "ARCH=75"}, {"sm_75", "ARCH=75"}, {"sm_75", "ARCH=75"}},
             {"memory=16M",
              1,
              {"out of device memory: 32.0 MiB asked for, 16.0 MiB free"},
              {"out of device memory"},
              {"out of device memory"}},
             {"memory=33100K",
              1,
              {"the run needs ", "for the model", "MiB are free", "--shard-optimizer"},
              {"sampling 500 images at once needs ", "MiB are free", "--batch"},
              {"the likelihood of 32 images at once needs ", "MiB are free", "--batch"}},
             {"memory=34M",
              1,
              {"the run needs ", "for the model", "MiB are free", "--recompute", "--chunks", "--batch"},
              {},
              {}}}) {
        const EmulatedDeviceSetting setting(each.device);
        CAPTURE(each.device);
        check_refused("train", work.training("new", 1, in_bf16 + Words{"--batch", "256"}), each.exit_code,
                      each.train);
        if (std::string(each.device) == "memory=34M")
            check_refused("train", work.training("new", 1, in_bf16 + Words{"--sheet-rows", "400"}), 1,
                          {"for evaluations", "--sheet-rows"});
        if (!each.sample.empty()) check_refused("sample", sample, each.exit_code, each.sample);
        if (!each.nll.empty()) check_refused("sample", nll, each.exit_code, each.nll);
    }
}

TEST_CASE_FIXTURE(DeviceBench,
                  "end to end: the host never touches the device's memory, in any order of threads") {
    for (const bool mar : {false, true}) {
        if (mar) use_mar();
        const std::string kind = mar ? "mar-" : "ar-";
        const Words rule = in_bf16 + Words{"--dropout", "0.1", "--ema", "0.5"};
        train(kind + "open", 1, rule);
        for (const std::string device :
             {mar ? "host=denied" : "host=denied,order=reversed", "host=allowed,order=shuffled:3"}) {
            CAPTURE(device);
            const EmulatedDeviceSetting setting(device.c_str());
            const std::string run = kind + device;
            train(run, 1, rule);
            CHECK(differences(checkpoint(run), checkpoint(kind + "open")) == "");
            CHECK(read_file(work.at(run) / "samples-00000001.png") ==
                  read_file(work.at(kind + "open") / "samples-00000001.png"));
        }
    }
}

#endif
