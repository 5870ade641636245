// The jobs of build/sample, each a subcommand in a file of its own.
#pragma once

class Comm;
class CommandLine;

void add_fractal_sampling_job(CommandLine& app);
void add_edit_job(CommandLine& app);
void add_nat_job(CommandLine& app);
void add_evaluate_job(CommandLine& app, const Comm& comm);
// Of `evaluate`.
void add_quality_job(CommandLine& evaluate, const Comm& comm);
// Of `evaluate`.
void add_labels_job(CommandLine& evaluate);
void add_info_job(CommandLine& app);
void add_cost_job(CommandLine& app);
void add_levels_job(CommandLine& app);
void add_families_job(CommandLine& app);
void add_convert_job(CommandLine& app);
void add_reconstruct_job(CommandLine& app);
void add_plot_job(CommandLine& app);
void add_strategy_job(CommandLine& app);
void add_strategies_job(CommandLine& app);
void add_compress_job(CommandLine& app);
void add_decompress_job(CommandLine& app);
