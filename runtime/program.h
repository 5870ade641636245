// The frame of a command-line program: parses, runs the chosen job (a CLI11 callback), reports what went
// wrong in one line on stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>

#include "runtime/device.h"
#include "runtime/error.h"

// Exit code: 0, 2 for a wrong command line (UsageError), 1 for every other exception, which `report` is
// called with.
template <class Report>
int run_program(CLI::App& app, int argument_count, char** arguments, Report report) {
    flush_denormals();
    try {
        app.parse(argument_count, arguments);
        return 0;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);
        report(error);
        return 2;
    } catch (const UsageError& error) {
        report(error);
        return 2;
    } catch (const std::exception& error) {
        report(error);
        return 1;
    }
}

inline int run_program(CLI::App& app, const char* name, int argument_count, char** arguments) {
    return run_program(app, argument_count, arguments, [name](const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
    });
}
