// Tensors of a .pth that are views: strided, of shared storages, negated, conjugated.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/unit/runtime/files/pth/one_tensor.h"

using namespace pth_writer;

TEST_CASE("pth: strided views and shared storages") {
    const TemporaryFolder folder;
    const std::string shared = storage("FloatStorage", "0", 12);
    for (const bool packed : {false, true}) {
        write_pth(folder / "a.pth",
                  dictionary({{"all", tensor(shared, 0, {3, 4}, {4, 1})},
                              {"transposed", tensor(shared, 0, {4, 3}, {1, 4})},
                              {"column", tensor(shared, 2, {3}, {4})},
                              {"tail", tensor(shared, 9, {3}, {1})},
                              {"expanded", tensor(shared, 5, {2, 3}, {0, 0})},
                              {"windows", tensor(shared, 0, {3, 2}, {1, 1})},
                              {"scalar", tensor(shared, 7, {}, {})},
                              {"empty", tensor(shared, 12, {0, 5}, {5, 1})},
                              {"one", tensor(shared, 11, {1, 1}, {1LL << 62, 77})}}),
                  {{"0", bytes_of(counting(12))}}, packed);
        const PthFile file(folder / "a.pth");
        CHECK(read(file, "all") == counting(12));
        CHECK(read(file, "transposed") == Floats{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
        CHECK(read(file, "column") == Floats{2, 6, 10});
        CHECK(read(file, "tail") == Floats{9, 10, 11});
        CHECK(read(file, "expanded") == Floats{5, 5, 5, 5, 5, 5});
        CHECK(read(file, "windows") == Floats{0, 1, 1, 2, 2, 3});
        CHECK(read(file, "scalar") == Floats{7});
        CHECK(read(file, "empty").empty());
        CHECK(read(file, "one") == Floats{11});
    }
}

TEST_CASE("pth: negated views have the opposite sign, in either form; conjugated ones are refused by name") {
    const TemporaryFolder folder;
    const std::string hooks = call(global("collections", "OrderedDict"), {});
    const auto view = [&](const char* type, const std::string& metadata, bool typed = false) {
        std::vector<std::string> arguments{storage(typed ? "UntypedStorage" : type, "0", typed ? 24 : 6),
                                           integer(0),
                                           sizes({2, 3}),
                                           sizes({1, 2}),
                                           "\x89",
                                           hooks};
        if (typed) arguments.push_back(global("torch", "float32"));
        arguments.push_back(metadata);
        return call(global("torch._utils", typed ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2"), arguments);
    };
    const auto parameter = [&](const std::string& tensor) {
        return call(global("torch._utils", "_rebuild_parameter"), {tensor, "\x88", hooks});
    };
    const std::string negative = dictionary({{"neg", "\x88"}});
    const std::vector<Storage> six{{"0", bytes_of(counting(6))}};
    const Floats plain{0, 2, 4, 1, 3, 5}, opposite{-0.0f, -2, -4, -1, -3, -5};
    struct Case {
        std::string tensor;
        Floats expected;
    };
    for (const Case& each :
         {Case{view("FloatStorage", negative), opposite},
          Case{view("FloatStorage", ordered_dictionary({{"neg", "\x88"}})), opposite},
          Case{view("FloatStorage", negative, true), opposite},
          Case{parameter(view("FloatStorage", negative)), opposite}, Case{view("FloatStorage", "}"), plain},
          Case{view("FloatStorage", none()), plain},
          Case{view("FloatStorage", dictionary({{"neg", "\x89"}, {"conj", "\x89"}})), plain}}) {
        const std::string object = dictionary({{"t", each.tensor}});
        write_pth(folder / "new.pth", object, six);
        CHECK(read(PthFile(folder / "new.pth"), "t") == each.expected);
        if (each.tensor.find("Untyped") != std::string::npos) continue;  // which the older form has not
        write(folder / "old.pth", older_form(object, six));
        CHECK(read(PthFile(folder / "old.pth"), "t") == each.expected);
    }
    // Also of contiguous tensors, with the sign of zero.
    const std::string row =
        call(global("torch._utils", "_rebuild_tensor_v2"),
             {storage("FloatStorage", "0", 6), integer(0), sizes({6}), sizes({1}), "\x89", hooks, negative});
    write_pth(folder / "new.pth", dictionary({{"t", row}}), six);
    const Floats negated = read(PthFile(folder / "new.pth"), "t");
    CHECK(negated == Floats{-0.0f, -1, -2, -3, -4, -5});
    CHECK(std::signbit(negated[0]));

    const OneTensor one;
    const std::vector<Storage> long_six{{"0", std::string(48, '\1'), 8}};
    CHECK(one.refusal_of(view("FloatStorage", dictionary({{"conj", "\x88"}})), six)
              .find("tensor t is a conjugated view") != std::string::npos);
    CHECK(one.refusal_of(view("ComplexFloatStorage", dictionary({{"conj", "\x88"}})), long_six)
              .find("tensor t has dtype complex64") != std::string::npos);
    CHECK(
        one.refusal_of(view("LongStorage", negative), long_six).find("tensor t is a negated view of int64") !=
        std::string::npos);
    CHECK(one.refusal_of(view("FloatStorage", dictionary({{"scaled", "\x88"}})), six)
              .find("metadata of an unknown meaning") != std::string::npos);
    CHECK(one.refusal_of(view("FloatStorage", integer(1)), six).find("metadata of an unknown form") !=
          std::string::npos);
}
