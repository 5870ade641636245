// The frame of a command-line program: parses, runs the chosen job (a CLI11 callback), reports errors in one
// line on stderr.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>
#include <string_view>

#include "runtime/base/error.h"
#include "runtime/base/report.h"
#include "runtime/device/device.h"

// The descriptor of a closed standard stream would be reused by the next opened file, into which output would
// then be written.
inline void open_standard_streams() {
    int stream = 0;
    while (stream >= 0 && stream <= STDERR_FILENO) stream = ::open("/dev/null", O_RDWR);
    ::close(stream);
}

// To be called before jobs are added: each is a subcommand, and the last of repeated flags takes effect, so
// that a user's flags override those of a script or of the Makefile.
inline void expect_one_job(CLI::App& app) {
    app.require_subcommand(1);
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

// Throws UsageError for an empty argument, such as an unset variable of a script; CLI11 would take the flag
// for not given.
inline void refuse_empty_words(int argument_count, char** arguments) {
    for (int i = 1; i < argument_count; ++i) {
        const std::string_view word = arguments[i], before = i > 1 ? arguments[i - 1] : "";
        if (word.empty()) fail_usage("an empty argument{}{}", before.empty() ? "" : " behind ", before);
        if (word.starts_with("--") && word.ends_with('=')) fail_usage("{}: nothing stands behind it", word);
    }
}

// Exit code: 0, 2 for a wrong command line (UsageError), 1 for every other exception, which `report` is
// called with.
template <class Report>
int run_program(CLI::App& app, int argument_count, char** arguments, Report report) {
    open_standard_streams();
    flush_denormals();
    std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the file size limit fails instead
    try {
        refuse_empty_words(argument_count, arguments);
        app.parse(argument_count, arguments);
        return 0;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);
        report(error);
        return 2;
    } catch (const UsageError& error) {
        report(error);
        return 2;
    } catch (const std::bad_alloc&) {
        report(Error("there is not enough memory for it"));
        return 1;
    } catch (const std::exception& error) {
        report(error);
        return 1;
    }
}

// For a program whose result is its output: success requires that all of it has been written.
inline int run_program(CLI::App& app, const char* name, int argument_count, char** arguments) {
    const int code = run_program(app, argument_count, arguments,
                                 [name](const std::exception& error) { report_line(name, error.what()); });
    std::cout.flush();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    if (code == 0)
        report_line(name, fmt::format("standard output: cannot be written: {}", std::strerror(errno)));
    return code == 0 ? 1 : code;
}
