// The jobs of build/data that need no model, each a subcommand.
#pragma once

class CommandLine;

// `pack`, `fractals`, `info`, `degrade` and `tokenize`.
void add_data_jobs(CommandLine& app);
