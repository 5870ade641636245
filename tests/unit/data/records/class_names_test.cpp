#include "data/records/class_names.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace {

using Names = std::vector<std::string>;
using Numbers = std::vector<std::int64_t>;

std::string refusal(const auto& call) {
    try {
        call();
    } catch (const UsageError& error) {
        return error.what();
    }
    return "";
}

std::int64_t asked(const std::string& word, const Names& names) {
    return class_number("--class", word, static_cast<std::int64_t>(names.size()), names);
}

}  // namespace

TEST_CASE("class names: a word is a class's name before it is a number") {
    const Names names{"1", "2", "3"};
    CHECK(asked("3", names) == 2);  // no class has that number
    CHECK(asked("0", names) == 0);  // no class has that name
    CHECK(asked("name:1", names) == 0);
    CHECK(asked("number:1", names) == 1);
    CHECK(asked("name:2", names) == 1);
    CHECK(asked("number:2", names) == 2);
    CHECK(refusal([&] { asked("1", names); }) ==
          "--class 1: class 0 is called 1, and class 1 is called 2: name:1 means the first, number:1 the "
          "second");
    CHECK(refusal([&] { asked("2", names); }).find("name:2 means the first, number:2") != std::string::npos);
    CHECK(refusal([&] { asked("4", names); }) ==
          "--class 4: the model has the classes 0 to 2, and none of that name");
}

TEST_CASE("class names: digits that are called what they are numbered") {
    const Names names{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    for (std::int64_t digit = 0; digit < 10; ++digit) CHECK(asked(std::to_string(digit), names) == digit);
    const Names padded{"00", "01", "02"};
    CHECK(asked("01", padded) == 1);
    CHECK(asked("1", padded) == 1);
}

TEST_CASE("class names: names with spaces, in other letters, of two classes, and like the prefixes") {
    const Names names{"red fox", "Cat", "cat", "crane", "crane", "name:cat", "number:0"};
    CHECK(asked("red fox", names) == 0);
    CHECK(asked("Cat", names) == 1);
    CHECK(asked("cat", names) == 2);
    CHECK(refusal([&] { asked("CAT", names); }) ==
          "--class CAT: the model has no class of that name, build/sample info lists them");
    CHECK(refusal([&] { asked("crane", names); }) ==
          "--class crane: the classes 3 and 4 are called that: number:3 and number:4 say which");
    CHECK(asked("number:4", names) == 4);
    CHECK(refusal([&] { asked("name:cat", names); }) != "");  // cat, or name:cat
    CHECK(asked("name:name:cat", names) == 5);
    CHECK(refusal([&] { asked("number:0", names); }).find("class 6 is called number:0") != std::string::npos);
    CHECK(asked("name:number:0", names) == 6);
    CHECK(refusal([&] { asked("crnae", Names{"crane"}); }) ==
          "--class crnae: the model has no class of that name, did you mean crane?");
}

TEST_CASE("class names: a model that does not name its classes, and one without classes") {
    CHECK(class_number("--class", "7", 10, {}) == 7);
    CHECK(class_number("--class", "number:7", 10, {}) == 7);
    for (const char* word :
         {"10", "-1", "99999999999999999999", "cat", "name:7", "number:", "number:x", "1.0", ""})
        CHECK_MESSAGE(refusal([&] { class_number("--class", word, 10, {}); }) != "", word);
    CHECK(refusal([] { class_number("--class", "0", 0, {}); }) == "--class 0: the model has no classes");
}

TEST_CASE("class names: a list is split at commas that are not a name's") {
    const Names names{"tench, Tinca tinca", "goldfish", "tench", "a", "b", "a,b"};
    const auto listed = [&](const std::string& list) { return class_numbers("--classes", list, 6, names); };
    CHECK(listed("goldfish,2") == Numbers{1, 2});
    CHECK(listed("tench, Tinca tinca") == Numbers{0});
    CHECK(listed("tench,tench, Tinca tinca,goldfish") == Numbers{2, 0, 1});
    CHECK(listed("name:tench, Tinca tinca,number:4") == Numbers{0, 4});
    CHECK(listed("a,b") == Numbers{5});
    CHECK(listed("b,a") == Numbers{4, 3});
    CHECK(refusal([&] { listed("goldfish,,2"); }) != "");
    CHECK(refusal([&] { listed("goldfish,shark"); }).find("--classes shark: ") == 0);
}

TEST_CASE("class names: the classes of two files are matched by name") {
    const Names model{"cat", "dog", "owl"}, permuted{"owl", "cat", "dog"}, other{"cat", "cow", "owl"};
    const auto match = [](const Names& ours, const Names& theirs, bool by_number = false) {
        return match_classes({"model.safetensors", ours}, {"data.bin", theirs}, by_number);
    };
    CHECK(match(model, model) == Numbers{0, 1, 2});
    CHECK(match(model, permuted) == Numbers{2, 0, 1});
    CHECK(match(permuted, model) == Numbers{1, 2, 0});
    CHECK(match(model, permuted, true) == Numbers{0, 1, 2});
    CHECK(match(model, other, true) == Numbers{0, 1, 2});
    CHECK(match(model, {}) == Numbers{0, 1, 2});
    CHECK(match({}, model) == Numbers{0, 1, 2});
    CHECK(
        refusal([&] { match(model, other); }) ==
        "data.bin: class 1 is called cow, model.safetensors has no class of that name, its class 1 is called "
        "dog; --ignore-class-names takes classes by number");
    CHECK(refusal([&] {
              match(model, {"cat", "dog", "Owl"});
          }).find("class 2 is called Owl") != std::string::npos);
    CHECK(refusal([&] { match(model, {"cat", "dog"}); }).find("2 classes") != std::string::npos);
}

TEST_CASE("class names: a name that two classes have is matched only where all stand alike") {
    const Names model{"crane", "cat", "crane"};
    CHECK(match_classes({"m", model}, {"d", model}, false) == Numbers{0, 1, 2});
    const Names permuted{"cat", "crane", "crane"};
    CHECK(refusal([&] {
              match_classes({"m", model}, {"d", permuted}, false);
          }) == "m: two classes are called crane: --ignore-class-names takes classes by number");
    const Names once{"crane", "cat", "cat"};
    CHECK(refusal([&] {
              match_classes({"m", Names{"crane", "cat", "owl"}}, {"d", once}, false);
          }) == "d: two classes are called cat: --ignore-class-names takes classes by number");
}

TEST_CASE("class names: labels of the data become the model's, and no label stays none") {
    std::vector<std::int32_t> labels{0, 2, -1, 1};
    relabel(labels, Numbers{2, 0, 1});
    CHECK(labels == std::vector<std::int32_t>{2, 1, -1, 0});
}

TEST_CASE("class names: names that are no UTF-8 are compared as a checkpoint holds them") {
    const Names data{"latin\xe9", "cat"}, model{"latin\xef\xbf\xbd", "cat"};
    CHECK(match_classes({"m", model}, {"d", data}, false) == Numbers{0, 1});
    const Names permuted{"cat", "latin\xe9"};
    CHECK(match_classes({"m", model}, {"d", permuted}, false) == Numbers{1, 0});
}
