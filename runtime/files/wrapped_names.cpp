#include "runtime/files/wrapped_names.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "runtime/files/tensor_file.h"

namespace {

constexpr std::string_view wrappers[] = {
    "module.", "_orig_mod.", "model.", "net.", "_fsdp_wrapped_module.", "_forward_module.",
};
constexpr std::string_view average_module = "model_ema.";
// Of torch.optim.swa_utils.AveragedModel, beside the names under "module.": a counter, no parameter.
constexpr std::string_view average_counter = "n_averaged";

using Names = std::vector<std::string_view>;

// Wrappers' prefixes, one after the other, that all names start with.
std::string common_prefix(const Names& names) {
    std::string prefix;
    const auto extend = [&] {
        for (const std::string_view wrapper : wrappers) {
            const std::string longer = prefix + std::string(wrapper);
            if (!std::ranges::all_of(names, [&](std::string_view name) {
                    return name.size() > longer.size() && name.starts_with(longer);
                }))
                continue;
            prefix = longer;
            return true;
        }
        return false;
    };
    while (!names.empty() && extend()) {
    }
    return prefix;
}

// The group that a name belongs to: its prefix in the file and the one that it has here.
struct Group {
    std::string_view found, prefix;
};

Group group_of(std::string_view name, std::string_view average) {
    if (name.starts_with(average)) return {average, average_prefix};
    for (const std::string_view moment : {first_moment_prefix, second_moment_prefix})
        if (name.starts_with(moment)) return {moment, moment};
    return {"", ""};
}

// The names, which all start with `outer`, where the averages are those under `average`.
UnwrappedNames unwrap_groups(const Names& names, const std::string& outer, std::string_view average) {
    std::map<std::string_view, Names> groups;
    for (const std::string_view name : names) {
        const Group group = group_of(name.substr(outer.size()), average);
        groups[group.prefix].push_back(name.substr(outer.size() + group.found.size()));
    }
    UnwrappedNames unwrapped;
    std::map<std::string_view, std::size_t> inner;
    for (const std::string_view prefix : {std::string_view(""), average_prefix}) {
        const std::string common = common_prefix(groups[prefix]);
        inner[prefix] = common.size();
        unwrapped.removed[std::string(prefix)] = outer + common;
    }
    for (const std::string_view name : names) {
        const Group group = group_of(name.substr(outer.size()), average);
        const std::size_t skipped = outer.size() + group.found.size() + inner[group.prefix];
        unwrapped.names.emplace(name, std::string(group.prefix) + std::string(name.substr(skipped)));
    }
    return unwrapped;
}

bool are_distinct(const UnwrappedNames& unwrapped) {
    std::set<std::string_view> distinct;
    for (const auto& each : unwrapped.names) distinct.insert(each.second);
    return distinct.size() == unwrapped.names.size();
}

// Averages by the name of a module: of weights that are there as well.
bool has_averages(const UnwrappedNames& unwrapped) {
    std::set<std::string_view> names;
    for (const auto& each : unwrapped.names) names.insert(each.second);
    return std::ranges::any_of(names, [&](std::string_view name) {
        return name.starts_with(average_prefix) && names.contains(name.substr(average_prefix.size()));
    });
}

}  // namespace

UnwrappedNames unwrap_names(const std::vector<std::string>& names) {
    Names parameters;
    for (const std::string& name : names)
        if (name != average_counter) parameters.push_back(name);
    const std::string outer = common_prefix(parameters);
    UnwrappedNames unwrapped = unwrap_groups(parameters, outer, average_prefix);
    if (!has_averages(unwrapped)) {
        UnwrappedNames by_module = unwrap_groups(parameters, outer, average_module);
        if (has_averages(by_module)) unwrapped = std::move(by_module);
    }
    const bool changed =
        std::ranges::any_of(unwrapped.names, [](const auto& each) { return each.first != each.second; });
    if (changed && are_distinct(unwrapped)) return unwrapped;
    UnwrappedNames same;
    for (const std::string& name : names) same.names.emplace(name, name);
    return same;
}
