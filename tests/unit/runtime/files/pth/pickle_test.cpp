#include "runtime/files/pth/pickle.h"

#include <doctest/doctest.h>

#include <ctime>
#include <string>

#include "runtime/base/error.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"

using namespace pth_writer;

namespace {

using Kind = Pickle::Kind;

// `bytes` with embedded zeros.
template <std::size_t n>
std::string raw(const char (&bytes)[n]) {
    return {bytes, n - 1};
}

// A value in a form for comparing: [1, 'a'] for a list of an integer and a string. Nested to a limit.
std::string show(const Pickle& pickle, Pickle::Value value, int depth = 0) {
    if (depth > 6) return "...";
    const Pickle::Node& node = pickle[value];
    const auto items = [&](const char* between) {
        std::string all;
        for (std::size_t i = 0; i < node.items.size(); ++i)
            all += (i == 0                            ? ""
                    : (*between == ':' && i % 2 == 1) ? ": "
                                                      : ", ") +
                   show(pickle, node.items[i], depth + 1);
        return all;
    };
    switch (node.kind) {
        case Kind::none:
            return "None";
        case Kind::boolean:
            return node.integer != 0 ? "True" : "False";
        case Kind::integer:
            return std::to_string(node.integer);
        case Kind::long_integer:
            return "long of " + std::to_string(node.text.size());
        case Kind::real:
            return fmt::format("{}", node.real);
        case Kind::string:
            return "'" + std::string(node.text) + "'";
        case Kind::bytes:
            return "b'" + std::string(node.text) + "'";
        case Kind::list:
            return "[" + items(",") + "]";
        case Kind::tuple:
            return "(" + items(",") + ")";
        case Kind::set:
            return "set(" + items(",") + ")";
        case Kind::dictionary:
            return "{" + items(":") + "}";
        case Kind::global:
            return show(pickle, node.head) + "." + show(pickle, node.body);
        case Kind::persistent:
            return "persistent " + show(pickle, node.head, depth + 1);
        case Kind::extension:
            return "extension " + std::to_string(node.integer);
        case Kind::object:
            return "object " + show(pickle, node.head, depth + 1) + show(pickle, node.body, depth + 1) +
                   " [" + items(",") + "] " + show(pickle, node.state, depth + 1);
    }
    return "";
}

std::string shown(const std::string& bytes) {
    const Pickle pickle(bytes, "test");
    CHECK(pickle.size() == bytes.size());
    return show(pickle, pickle.root());
}

// Whether the bytes are a pickle; if not, the message states the position.
bool runs(std::string_view bytes) {
    try {
        const Pickle pickle(bytes, "source");
        CHECK(pickle.size() <= bytes.size());
        show(pickle, pickle.root());
        return true;
    } catch (const Error& error) {
        const std::string message = error.what();
        CHECK((message.starts_with("source: the pickle is malformed at byte ") ||
               message.starts_with("source: its pickle holds more than 4194304 values, the limit")));
        return false;
    }
}

}  // namespace

TEST_CASE("pickle: numbers and texts of every protocol") {
    CHECK(shown("N.") == "None");
    CHECK(shown("\x80\x02\x88.") == "True");
    CHECK(shown("\x80\x02\x89.") == "False");
    CHECK(shown("I01\n.") == "True");
    CHECK(shown("I00\n.") == "False");
    CHECK(shown("I-17\n.") == "-17");
    CHECK(shown("L12345678901L\n.") == "12345678901");
    CHECK(shown("L119547037146038801333356L\n.") == "long of 24");
    CHECK(shown("F-1.5e3\n.") == "-1500");
    CHECK(shown("K\xff.") == "255");
    CHECK(shown(raw("M\xff\xff.")) == "65535");
    CHECK(shown("J\xfe\xff\xff\xff.") == "-2");
    CHECK(shown(raw("\x8a\x00.")) == "0");
    CHECK(shown("\x8a\x01\xff.") == "-1");
    CHECK(shown(raw("\x8a\x02\xff\x00.")) == "255");
    CHECK(shown(raw("\x8b\x02\x00\x00\x00\x00\x80.")) == "-32768");
    CHECK(shown(integer(INT64_MIN) + ".") == "-9223372036854775808");
    CHECK(shown("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.") == "long of 10");
    CHECK(shown(raw("G\x3f\xf8\x00\x00\x00\x00\x00\x00.")) == "1.5");
    CHECK(shown("U\x02hi.") == "'hi'");
    CHECK(shown(raw("T\x02\x00\x00\x00hi.")) == "'hi'");
    CHECK(shown(raw("X\x02\x00\x00\x00hi.")) == "'hi'");
    CHECK(shown("\x8c\x02hi.") == "'hi'");
    CHECK(shown(raw("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi.")) == "'hi'");
    CHECK(shown("C\x02hi.") == "b'hi'");
    CHECK(shown(raw("B\x02\x00\x00\x00hi.")) == "b'hi'");
    CHECK(shown(raw("\x8e\x02\x00\x00\x00\x00\x00\x00\x00hi.")) == "b'hi'");
    CHECK(shown(raw("\x96\x02\x00\x00\x00\x00\x00\x00\x00hi.")) == "b'hi'");
    CHECK(shown("S'it\\'s\\x21\\n'\n.") == "'it's!\n'");
    CHECK(shown("S\"a\\qb\"\n.") == "'a\\qb'");
    CHECK(shown("Vz\\u00e9\\U0001F600\\x41\n.") == "'z\u00e9\U0001F600\\x41'");
}

TEST_CASE("pickle: containers, marks and the memo") {
    CHECK(shown("(K\x01(K\x02tl.") == "[1, (2)]");
    CHECK(shown("]K\x01"
                "a(K\x02K\x03"
                "e.") == "[1, 2, 3]");
    CHECK(shown("(U\x01"
                "aK\x01"
                "d.") == "{'a': 1}");
    CHECK(shown("}U\x01xK\x01s(U\x01yNu.") == "{'x': 1, 'y': None}");
    CHECK(shown("K\x01\x85.") == "(1)");
    CHECK(shown("K\x01K\x02\x86.") == "(1, 2)");
    CHECK(shown("K\x01K\x02K\x03\x87.") == "(1, 2, 3)");
    CHECK(shown("\x8f(K\x01\x90.") == "set(1)");
    CHECK(shown("(K\x01\x91.") == "set(1)");
    CHECK(shown("]q\x05K\x01"
                "ah\x05.") == "[1]");
    CHECK(shown("]p7\n0g7\n.") == "[]");
    CHECK(shown(raw("]r\x00\x01\x00\x00"
                    "0j\x00\x01\x00\x00.")) == "[]");
    CHECK(shown("]\x94K\x07\x94"
                "0h\x01\x86.") == "([], 7)");
    CHECK(shown("K\x01"
                "2\x86.") == "(1, 1)");
    CHECK(shown("K\x01(K\x02K\x03"
                "1.") == "1");
    CHECK(shown("K\x01(0.") == "1");
    CHECK(shown(raw("\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00K\x01.")) == "1");
    // A list that holds itself is only an index.
    CHECK(shown("]q\x01h\x01"
                "a.") == "[[[[[[[...]]]]]]]");
}

TEST_CASE("pickle: calls and imports stay what they are, data") {
    CHECK(shown(call(global("os", "system"), {text("touch /tmp/never")}) + ".") ==
          "object 'os'.'system'('touch /tmp/never') [] None");
    CHECK(shown("\x8c\x02os\x8c\x06system\x93.") == "'os'.'system'");
    CHECK(shown("cos\nsystem\n)\x81}b.") == "object 'os'.'system'() [] {}");
    CHECK(shown("cos\nsystem\n)}\x92.") == "object 'os'.'system'() [] None");
    CHECK(shown("(K\x01ios\nsystem\n.") == "object 'os'.'system'(1) [] None");
    CHECK(shown("(cos\nsystem\nK\x01o.") == "object 'os'.'system'(1) [] None");
    CHECK(shown(raw("\x82\x07.")) == "extension 7");
    CHECK(shown(raw("\x83\x07\x01.")) == "extension 263");
    CHECK(shown(raw("\x84\x07\x00\x01\x00.")) == "extension 65543");
    CHECK(shown("Pname\n.") == "persistent 'name'");
    CHECK(shown("K\x01Q.") == "persistent 1");
    CHECK(shown(ordered_dictionary({{"a", integer(1)}}) + ".") ==
          "object 'collections'.'OrderedDict'() ['a', 1] None");
}

TEST_CASE("pickle: what is no pickle is refused") {
    for (const std::string& bytes : {raw(""),
                                     raw("."),
                                     raw("a."),
                                     raw("K"),
                                     raw("K\x01"),
                                     raw("\x80\x06N."),
                                     raw("t."),
                                     raw("1."),
                                     raw("0."),
                                     raw("(N(."),
                                     raw("N(a."),
                                     raw("(Ns."),
                                     raw("h\x01."),
                                     raw("gx\n."),
                                     raw("g1\n."),
                                     raw("I\n."),
                                     raw("I1x\n."),
                                     raw("Lx\n."),
                                     raw("F\n."),
                                     raw("S'a\n."),
                                     raw("S'\n."),
                                     raw("Sa\n."),
                                     raw("Vabc"),
                                     raw("cos\nsystem"),
                                     raw("NNb."),
                                     raw("NNa."),
                                     raw("}NNa."),
                                     raw("](NNNu."),
                                     raw("}(Nu."),
                                     raw("(o."),
                                     raw("X\xff\xff\xff\xffhi."),
                                     raw("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi."),
                                     raw("\x8e\xff\xff\xff\xff\xff\xff\xff\x7fhi."),
                                     raw("\x8b\xff\xff\xff\xff."),
                                     raw("\x97."),
                                     raw("N\x98."),
                                     raw("\x95\xff\xff\xff\xff\xff\xff\xff\xffN."),
                                     raw("N\xff."),
                                     raw("N\x00."),
                                     raw("Npx\n.")}) {
        CAPTURE(bytes);
        CHECK_FALSE(runs(bytes));
    }
}

TEST_CASE("pickle: bombs of depth, memo and stack end in an error or in harmless data") {
    const std::clock_t start = std::clock();  // of the processor, whatever else it does
    const std::size_t many = 4'500'000;
    CHECK_FALSE(runs(std::string(many, '(') + "N."));
    CHECK_FALSE(runs(std::string(many, ']') + "."));
    CHECK_FALSE(runs("N" + std::string(many, '2') + "."));
    CHECK_FALSE(runs("N" + std::string(many, '\x94') + "."));
    std::string dropped;  // lists that leave the stack at once
    for (std::size_t i = 0; i < many; ++i) dropped += "]0";
    CHECK_FALSE(runs(dropped + "N."));
    // A million tuples, each in the next.
    CHECK(runs("N" + std::string(1'000'000, '\x85') + "."));
    // Each tuple holds the one before twice: 2^100000 leaves on paper.
    std::string doubling = "N";
    for (int i = 0; i < 100'000; ++i) doubling += "2\x86";
    CHECK(runs(doubling + "."));
    // A name of a million letters, imported over and over from the memo.
    std::string names = text(std::string(1'000'000, 'x')) + "q\x01";
    for (int i = 0; i < 100'000; ++i) names += "h\x01h\x01\x93";
    CHECK(runs(names + "."));
    CHECK((std::clock() - start) / CLOCKS_PER_SEC < 30);
}

TEST_CASE("pickle: the limit of values grows with the file, and is named when it is met") {
    CHECK(Pickle::limit_for(1000) == Pickle::small_limit);
    CHECK(Pickle::limit_for(std::uint64_t{1} << 30) == std::size_t{1} << 27);
    CHECK(Pickle::limit_for(UINT64_MAX) == UINT32_MAX);
    const std::string history = pickle(list(std::vector<std::string>(200, "K\x07")));
    CHECK_NOTHROW(Pickle(history, "a.pth", 202));
    CHECK_THROWS_WITH_AS(Pickle(history, "a.pth", 201),
                         "a.pth: its pickle holds more than 201 values, the limit for a file of this length",
                         Error);
}

TEST_CASE("pickle: cut off anywhere it is refused, changed anywhere it runs or is refused") {
    const std::string whole =
        pickle(dictionary({{"model", ordered_dictionary({{"a", float_tensor("0", {2, 3})}})},
                           {"args", name_space({{"model", text("tiny")}})},
                           {"lines", "(I5\nL7L\nF1.5\nS'a'\nVb\ng0\nl"}}),
               2);
    const std::string memoed = "\x80\x02Nq" + std::string(1, '\0') + "0" + whole.substr(2);
    REQUIRE(runs(memoed));
    std::size_t refused = 0;
    for (std::size_t length = 0; length < memoed.size(); ++length)
        CHECK_FALSE(runs(std::string_view(memoed).substr(0, length)));
    for (std::size_t position = 0; position < memoed.size(); ++position)
        for (int change = 1; change < 256; ++change) {
            std::string damaged = memoed;
            damaged[position] = static_cast<char>(damaged[position] ^ change);
            if (!runs(damaged)) ++refused;
        }
    CHECK(refused > memoed.size());
}
