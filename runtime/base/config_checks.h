// What all configurations check: whole values within a range, and presets by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/error.h"

// Throws UsageError, starting with `source`, unless least <= value <= most.
inline void require_key_range(std::string_view source, std::string_view key, std::int64_t value,
                              std::int64_t least, std::int64_t most) {
    if (value < least || value > most)
        fail_usage("{}: {} is {}, expected {} to {}", source, key, value, least, most);
}

// The preset of this name. Throws UsageError listing the names there are.
template <class Preset>
const Preset& preset_named(std::span<const Preset> presets, std::string_view name) {
    std::string names;
    for (const Preset& preset : presets) {
        if (preset.name == name) return preset;
        names += (names.empty() ? "" : ", ") + std::string(preset.name);
    }
    fail_usage("--preset {}: no such preset, expected one of {}", name, names);
}
