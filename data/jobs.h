// The jobs of build/data that need no model, each a subcommand.
#pragma once

class CommandLine;

// `pack`, `fractals` and `info`.
void add_data_jobs(CommandLine& app);
