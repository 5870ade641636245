// Floating-point numbers in JSON. Includes the JSON library, which is heavy: for source files.
#pragma once

#include <nlohmann/json.hpp>

#include "runtime/base/number_text.h"

// Those in `json`, at any depth, become what was given (number_text.h).
template <class Json>
void set_numbers_as_given(Json& json) {
    if (json.is_number_float()) json = as_given(json.template get<double>());
    if (!json.is_structured()) return;
    for (Json& value : json) set_numbers_as_given(value);
}
