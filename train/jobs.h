// The jobs of build/train, each a subcommand in a file of its own.
#pragma once

#include <CLI/CLI.hpp>

class Comm;

void add_fractal_job(CLI::App& app, const Comm& comm);
void add_tokenizer_job(CLI::App& app, const Comm& comm);
void add_nat_job(CLI::App& app, const Comm& comm);
