// The jobs of build/sample, each a subcommand in a file of its own.
#pragma once

#include <CLI/CLI.hpp>

void add_fractal_sampling_job(CLI::App& app);
void add_edit_job(CLI::App& app);
void add_nat_job(CLI::App& app);
void add_evaluate_job(CLI::App& app);
void add_info_job(CLI::App& app);
void add_cost_job(CLI::App& app);
void add_levels_job(CLI::App& app);
void add_convert_job(CLI::App& app);
void add_reconstruct_job(CLI::App& app);
void add_plot_job(CLI::App& app);
