// The jobs of build/train, each a subcommand in a file of its own.
#pragma once

class CommandLine;

class Comm;

void add_fractal_job(CommandLine& app, const Comm& comm);
void add_tokenizer_job(CommandLine& app, const Comm& comm);
void add_nat_job(CommandLine& app, const Comm& comm);
void add_features_job(CommandLine& app, const Comm& comm);
void add_strategy_search_job(CommandLine& app, const Comm& comm);
