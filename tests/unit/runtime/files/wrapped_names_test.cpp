#include "runtime/files/wrapped_names.h"

#include <doctest/doctest.h>

#include "runtime/files/tensor_file.h"

namespace {

using Names = std::vector<std::string>;

Names unwrapped(const Names& names) {
    Names own;
    for (const auto& [stored, name] : unwrap_names(names).names) own.push_back(name);
    return own;
}

}  // namespace

TEST_CASE("wrapped names: prefixes of all names are removed, of the weights and their average apart") {
    CHECK(unwrapped({"module.a", "module.b"}) == Names{"a", "b"});
    CHECK(unwrapped({"a", "module.b"}) == Names{"a", "module.b"});
    CHECK(unwrapped({"ema.module.a", "module.a"}) == Names{"ema.a", "a"});
    CHECK(unwrapped({"ema.a", "module.a"}) == Names{"ema.a", "a"});
    CHECK(unwrapped({"module.a", "module.ema.a"}) == Names{"a", "ema.a"});
    CHECK(unwrapped({"model.a", "model_ema.module.a"}) == Names{"a", "ema.a"});
    CHECK(unwrapped({"a", "model_ema.a"}) == Names{"a", "ema.a"});
    CHECK(unwrapped({"model.a", "optimizer.exp_avg.a"}) == Names{"a", "optimizer.exp_avg.a"});
    CHECK(unwrapped({"module.a", "n_averaged"}) == Names{"a"});
    CHECK(unwrapped({"a", "n_averaged"}) == Names{"a", "n_averaged"});
    CHECK(unwrapped({}).empty());
}

TEST_CASE("wrapped names: nothing is removed where names would become alike, empty, or others' averages") {
    CHECK(unwrapped({"ema.a", "model.b", "model.ema.a"}) == Names{"ema.a", "model.b", "model.ema.a"});
    CHECK(unwrapped({"module."}) == Names{"module."});
    CHECK(unwrapped({"module.module."}) == Names{"module."});
    CHECK(unwrapped({"modules.a"}) == Names{"modules.a"});
    CHECK(unwrapped({"a", "model_ema.aweight", "model_ema.decay"}) ==
          Names{"a", "model_ema.aweight", "model_ema.decay"});
}

TEST_CASE("wrapped names: what was removed is told") {
    const UnwrappedNames both = unwrap_names({"ema.module.a", "_orig_mod.module.a"});
    CHECK(both.removed.at("") == "_orig_mod.module.");
    CHECK(both.removed.at("ema.") == "module.");
    CHECK(unwrap_names({"a"}).removed.empty());
}
