// Which tensors of a .pth are taken as the weights, under which names, and what is said about it.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/files/pth/pth.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/runtime/files/read_tensor.h"
#include "tests/unit/temporary_folder.h"

using namespace pth_writer;

namespace {

using Names = std::vector<std::string>;

// Tensors of two numbers: {10, 10}, {20, 20}, {30, 30}.
const std::string first = float_tensor("0", {2}), second = float_tensor("1", {2}),
                  third = float_tensor("2", {2});
const std::vector<Storage> storages{
    {"0", bytes_of(Floats{10, 10})}, {"1", bytes_of(Floats{20, 20})}, {"2", bytes_of(Floats{30, 30})}};

struct Written {
    explicit Written(const std::string& object) { write_pth(folder / "a.pth", object, storages); }
    PthFile open() const { return PthFile(folder / "a.pth"); }
    Names names() const { return open().names(); }
    std::string origin(std::string_view prefix = "") const { return open().origin(prefix); }
    float value(const std::string& name) const { return read(open(), name)[0]; }
    std::string refusal() const {
        try {
            open();
        } catch (const Error& error) {
            return error.what();
        }
        return "";
    }

    TemporaryFolder folder;
};

// The weights x and y, after `prefix`.
Pairs weights(const std::string& prefix = "") {
    return {{prefix + "x.weight", first}, {prefix + "y", second}};
}
std::string state(const std::string& prefix = "") {
    return ordered_dictionary(weights(prefix));
}
const Names plain{"x.weight", "y"};

// What optimizers save, here under names, beside the weights.
const std::string optimizer = dictionary(
    {{"state",
      dictionary({{"x.weight", dictionary({{"exp_avg", third}, {"exp_avg_sq", third}, {"step", third}})}})},
     {"param_groups", list({dictionary({{"lr", integer(1)}})})}});
const std::string settings = dictionary(
    {{"depth", integer(3)}, {"widths", list({integer(4)})}, {"more", dictionary({{"a", none()}})}});

}  // namespace

TEST_CASE("pth: the dictionary with the tensors is found wherever it lies") {
    const auto found = [](const std::string& object, const std::string& entry) {
        const Written file(object);
        CAPTURE(entry);
        CHECK(file.names() == plain);
        CHECK(file.origin() == (entry.empty() ? "" : "its entry " + entry));
        CHECK(file.value("x.weight") == 10);
    };
    found(state(), "");
    for (const char* key : {"model", "state_dict", "net", "network", "module", "params", "my weights", "G"})
        found(dictionary({{"epoch", integer(3)}, {key, state()}}), key);
    found(dictionary({{"checkpoint", dictionary({{"model", state()}, {"epoch", integer(3)}})}}),
          "checkpoint.model");
    found(dictionary({{"a", dictionary({{"b", dictionary({{"c", state()}})}})}}), "a.b.c");
    // `model` is only settings, or little more.
    found(dictionary({{"model", settings}, {"state_dict", state()}}), "state_dict");
    found(dictionary({{"model", settings}, {"weights_of_mine", state()}}), "weights_of_mine");
    found(dictionary({{"model", dictionary({{"mean", third}})}, {"state_dict", state()}}), "state_dict");
    found(dictionary({{"model", dictionary({{"settings", settings}, {"state_dict", state()}})}}),
          "model.state_dict");
    found(dictionary({{"model", text("FractalAR")}, {"net", state()}}), "net");
    // Other tensors beside it: random states, a step, an optimizer under any name.
    found(dictionary({{"rng_state", third}, {"model", state()}}), "model");
    found(dictionary({{"step", third}, {"mine", state()}}), "mine");
    for (const char* key : {"optimizer", "opt", "trainer_state"})
        found(dictionary({{key, optimizer}, {"net", state()}}), "net");
    found(dictionary({{"trainer", dictionary({{"inner", optimizer}})}, {"mine", state()}}), "mine");
    found(dictionary({{"net", state()}, {"scheduler", dictionary({{"t", third}})}}), "net");
    // The discriminator beside it is not.
    found(dictionary(
              {{"discriminator", dictionary({{"a", third}, {"b", third}, {"c", third}})}, {"net", state()}}),
          "net");
}

TEST_CASE("pth: parts of one model in dictionaries of their own are taken together") {
    const Written parts(
        dictionary({{"encoder", dictionary({{"a", first}})}, {"decoder", dictionary({{"a", second}})}}));
    CHECK(parts.names() == Names{"decoder.a", "encoder.a"});
    CHECK(parts.origin() == "");
    const Written flat(dictionary({{"x.weight", first}, {"y", second}, {"z", dictionary({{"a", third}})}}));
    CHECK(flat.names() == Names{"x.weight", "y", "z.a"});
}

TEST_CASE("pth: prefixes that all names have are removed, in any order") {
    for (const std::string prefix :
         {"module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "_orig_mod.module.",
          "model.module.model.", "_forward_module._fsdp_wrapped_module."}) {
        CAPTURE(prefix);
        for (const bool nested : {false, true}) {
            const Written file(nested ? dictionary({{"state_dict", state(prefix)}}) : state(prefix));
            CHECK(file.names() == plain);
            CHECK(file.value("y") == 20);
            CHECK(file.origin() == (nested ? "its entry state_dict, names without " + prefix
                                           : "its tensors, names without " + prefix));
        }
    }
    // Of some names only, or whole names: as they are; what is missing is named with what there is.
    Pairs some = weights("module.");
    some.emplace_back("z", third);
    const Written mixed(dictionary(some));
    CHECK(mixed.names() == Names{"module.x.weight", "module.y", "z"});
    CHECK(mixed.origin() == "");
    CHECK_THROWS_WITH_AS(mixed.open().shape("y"), doctest::Contains("has no tensor y, but module.y"), Error);
    CHECK(Written(dictionary({{"module.", first}})).names() == Names{"module."});
    CHECK(Written(dictionary({{"modules.x", first}})).names() == Names{"modules.x"});
    // The counter of torch's averaged models.
    Pairs averaged = weights("module.");
    averaged.emplace_back("n_averaged", third);
    CHECK(Written(dictionary(averaged)).names() == plain);
}

TEST_CASE("pth: averages beside the weights, each with its prefixes") {
    const Names both{"ema.x.weight", "ema.y", "x.weight", "y"};
    const std::string average = dictionary({{"module.x.weight", third}, {"module.y", third}});
    for (const char* key : {"model_ema", "ema", "state_dict_ema", "ema_model"}) {
        CAPTURE(key);
        for (const std::string prefix : {"", "module.", "_orig_mod."}) {
            const Written file(dictionary({{"model", state(prefix)}, {key, average}, {"opt", optimizer}}));
            CHECK(file.names() == both);
            CHECK(file.value("x.weight") == 10);
            CHECK(file.value("ema.x.weight") == 30);
            CHECK(file.origin("ema.") == "its entry " + std::string(key) + ", names without module.");
        }
    }
    const Written deep(dictionary(
        {{"checkpoint",
          dictionary({{"net", state()}, {"ema", dictionary({{"decay", third}, {"module", state()}})}})}}));
    CHECK(deep.names() == both);
    CHECK(deep.origin() == "its entry checkpoint.net");
    CHECK(deep.origin("ema.") == "its entry checkpoint.ema.module");
    // Averages alone; beside weights at the top; named as a module of a trainer's class; and what is none.
    CHECK(Written(dictionary({{"model_ema", state()}})).names() == Names{"ema.x.weight", "ema.y"});
    Pairs top = weights();
    top.emplace_back("model_ema", average);
    CHECK(Written(dictionary(top)).names() == both);
    Pairs lightning = weights("model.");
    for (const auto& pair : weights("model_ema.")) lightning.push_back(pair);
    CHECK(Written(dictionary({{"state_dict", dictionary(lightning)}})).names() == both);
    CHECK(Written(dictionary({{"model", state()}, {"ema", dictionary({{"decay", third}})}})).names() ==
          plain);
    CHECK(Written(dictionary({{"model", state()}, {"schema", dictionary({{"x.weight", third}})}})).names() ==
          plain);
}

TEST_CASE("pth: what lies beside the weights is passed over, however long or deep it is") {
    const auto loads = [](const std::string& beside) {
        CHECK(Written(dictionary({{"model", state()}, {"beside", beside}})).names() == plain);
        Pairs flat = weights();
        flat.emplace_back("beside", beside);
        CHECK(Written(dictionary(flat)).names() == plain);
    };
    std::string numbers = "](";
    for (int i = 0; i < 300'000; ++i) numbers += "K\x01";
    loads(numbers + "e");
    std::string table = "}(";
    for (int i = 0; i < 150'000; ++i) table += text(std::to_string(i)) + "K\x01";
    loads(table + "u");
    std::string deep = "}";
    for (int i = 0; i < 2000; ++i) deep = "}" + text("a") + deep + "s";
    loads(deep);
    loads(text(std::string(1 << 20, 'x')));
    loads(dictionary(
        {{"\xe7\x8c\xab", integer(0)}, {"two\nlines", integer(1)}, {std::string(5000, 'n'), integer(2)}}));
    loads(dictionary({{"\xe7\x8c\xab", dictionary({{"two\nlines", settings}})}}));
    // Of tensors, names are shown: they may be in any language, but in one line.
    CHECK(Written(dictionary({{"\xe7\x8c\xab", first}})).names() == Names{"\xe7\x8c\xab"});
    CHECK(Written(dictionary({{"a", first}, {"two\nlines", second}}))
              .refusal()
              .find("the name of tensor two\\nlines is no plain text") != std::string::npos);
    CHECK(Written(dictionary({{std::string(600, 'n'), first}})).refusal().find("is too long") !=
          std::string::npos);
}

TEST_CASE("pth: a dictionary without tensors is refused with what to save") {
    for (const std::string& object : {dictionary({{"model", settings}}), dictionary({{"opt", optimizer}})})
        CHECK(Written(object).refusal().ends_with(
            "a.pth: its dictionary holds no tensors; of a whole module, save its state_dict()"));
}
