// A job of build/data that is not data's own: it needs a model, so what it does is written where models may
// be used.
#pragma once

class CommandLine;

// `build/data tokens` (sample/tokens.cpp).
void add_tokens_job(CommandLine& app);
