// A job of build/data that needs a model, and is therefore defined where models may be used.
#pragma once

class CommandLine;

// `build/data tokens` (sample/tokens.cpp).
void add_tokens_job(CommandLine& app);
