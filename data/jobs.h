// A job of build/data that is not data's own: it needs a model, so what it does is written where models may
// be used.
#pragma once

#include <CLI/CLI.hpp>

// `build/data tokens` (sample/tokens.cpp).
void add_tokens_job(CLI::App& app);
