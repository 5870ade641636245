// The jobs of build/sample, each a subcommand in a file of its own.
#pragma once

class CommandLine;

void add_fractal_sampling_job(CommandLine& app);
void add_edit_job(CommandLine& app);
void add_nat_job(CommandLine& app);
void add_evaluate_job(CommandLine& app);
void add_info_job(CommandLine& app);
void add_cost_job(CommandLine& app);
void add_levels_job(CommandLine& app);
void add_convert_job(CommandLine& app);
void add_reconstruct_job(CommandLine& app);
void add_plot_job(CommandLine& app);
