#include "runtime/base/command_line.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <limits>
#include <new>
#include <optional>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/base/leftover_words.h"
#include "runtime/base/nearest_word.h"
#include "runtime/base/report.h"

// CLI11's own range checks end in a sentence with the largest double, all 309 digits of it.
FlagCheck within(std::int64_t least, std::int64_t most) {
    return [=](const std::string& word) {
        std::int64_t value = 0;
        if (CLI::detail::lexical_cast(word, value) && value >= least && value <= most) return std::string();
        return fmt::format("{}: expected a whole number from {} to {}", word, least, most);
    };
}

FlagCheck at_least(std::int64_t least) {
    return within(least, std::numeric_limits<std::int32_t>::max());
}

// Of a number beyond 64 bits CLI11 would take the largest, of a negative one the bits.
FlagCheck any_seed() {
    return [](const std::string& word) {
        char* end = nullptr;
        errno = 0;
        std::strtoull(word.c_str(), &end, 0);  // as CLI11 reads it, with 0x for hexadecimal digits
        const bool whole = !word.empty() && end == word.c_str() + word.size();
        if (whole && errno == 0 && word.find('-') == std::string::npos) return std::string();
        return fmt::format("{}: expected a whole number from 0 to {}", word,
                           std::numeric_limits<std::uint64_t>::max());
    };
}

FlagCheck above_zero() {
    return [](const std::string& word) {
        double value = 0;
        if (CLI::detail::lexical_cast(word, value) && value > 0 && std::isfinite(value)) return std::string();
        return fmt::format("{}: expected a number above 0", word);
    };
}

FlagCheck one_of(std::initializer_list<const char*> words) {
    return [words = std::vector<std::string>(words.begin(), words.end())](const std::string& word) {
        for (const std::string& each : words)
            if (word == each) return std::string();
        return fmt::format("{}: expected {}", word, fmt::join(words, " or "));
    };
}

namespace {

// Flags whose value may be empty.
std::set<std::string, std::less<>>& text_flags() {
    static std::set<std::string, std::less<>> flags;
    return flags;
}

}  // namespace

Option* Option::required() {
    option_->required();
    return this;
}

Option* Option::type_name(const std::string& name) {
    option_->type_name(name);
    return this;
}

Option* Option::capture_default_str() {
    option_->capture_default_str();
    return this;
}

Option* Option::check(const FlagCheck& check) {
    option_->check(CLI::Validator([check](std::string& word) { return check(word); }, ""));
    return this;
}

Option* Option::delimiter(char separator) {
    option_->delimiter(separator);
    return this;
}

Option* Option::expected(int count) {
    option_->expected(count);
    return this;
}

Option* Option::expected(int least, int most) {
    option_->expected(least, most);
    return this;
}

Option* Option::takes_text() {
    text_flags().insert(get_name());
    return this;
}

Option* Option::needs(Option* other) {
    option_->needs(other->option_);
    return this;
}

Option* Option::excludes(Option* other) {
    option_->excludes(other->option_);
    return this;
}

std::size_t Option::count() const {
    return option_->count();
}

std::string Option::get_name() const {
    return option_->get_name();
}

CommandLine::CommandLine(const std::string& meaning)
    : owned_(std::make_unique<CLI::App>(meaning)), app_(owned_.get()) {
    app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

CommandLine::CommandLine(CLI::App* app) : app_(app) {}

CommandLine::~CommandLine() = default;

CommandLine* CommandLine::add_subcommand(const std::string& name, const std::string& meaning) {
    app_->require_subcommand(1);
    jobs_.push_back(std::unique_ptr<CommandLine>(new CommandLine(app_->add_subcommand(name, meaning))));
    return jobs_.back().get();
}

Option* CommandLine::keep(CLI::Option* option) {
    return &options_.emplace_back(option);
}

template <class T>
Option* CommandLine::add_option(const std::string& name, T& value, const std::string& meaning) {
    return keep(app_->add_option(name, value, meaning));
}

template Option* CommandLine::add_option(const std::string&, std::string&, const std::string&);
template Option* CommandLine::add_option(const std::string&, int&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::int64_t&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::uint64_t&, const std::string&);
template Option* CommandLine::add_option(const std::string&, float&, const std::string&);
template Option* CommandLine::add_option(const std::string&, double&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::optional<std::int64_t>&,
                                         const std::string&);
template Option* CommandLine::add_option(const std::string&, std::optional<float>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::optional<double>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::optional<std::string>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<int>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<std::int64_t>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<double>&, const std::string&);
template Option* CommandLine::add_option(const std::string&, std::vector<std::string>&, const std::string&);

Option* CommandLine::add_flag(const std::string& name, bool& value, const std::string& meaning) {
    return keep(app_->add_flag(name, value, meaning));
}

Option* CommandLine::add_flag_function(const std::string& name, const std::function<void(bool)>& take,
                                       const std::string& meaning) {
    return keep(app_->add_flag_function(
        name, [take](std::int64_t count) { take(count > 0); }, meaning));
}

void CommandLine::take(std::span<const FlagValues> given) {
    for (const FlagValues& each : given) {
        CLI::Option* const option =
            each.name == "help" ? nullptr : app_->get_option_no_throw("--" + each.name);
        if (option == nullptr) {
            auto names = leftover_words::flags_of(*app_);
            std::erase(names, "help");
            const std::string nearest = nearest_word(each.name, names);
            fail_usage("{}: no such key{}", each.name,
                       nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
        }
        if (each.list && option->get_items_expected_max() <= 1)
            fail_usage("{}: a list, expected one value", each.name);
        option->allow_extra_args(false);  // else a text in brackets counts as a list
        option->clear();
        for (const std::string& word : each.words) {
            const bool text = text_flags().contains(option->get_name());
            if (word.empty() && !text) fail_usage("{}: empty, expected a value", each.name);
            option->add_result(word.empty() ? " " : word);
        }
        try {
            option->run_callback();
        } catch (const CLI::Error& error) {
            fail_usage("{}", error.what());
        }
    }
}

void CommandLine::callback(const std::function<void()>& run) {
    app_->callback(run);
}

namespace {

// Numbers 0 to 2 are opened where they are closed: a file that is opened later would otherwise take one of
// them, and receive the output.
void open_standard_streams() {
    int stream = 0;
    while (stream >= 0 && stream <= STDERR_FILENO) stream = ::open("/dev/null", O_RDWR);
    ::close(stream);
}

// Throws UsageError for an empty word, such as an unset variable of a script: CLI11 takes it for a flag that
// is not given. Behind a flag that takes a text it becomes a space.
void refuse_empty_words(int argument_count, char** arguments) {
    static char space[] = " ";
    for (int i = 1; i < argument_count; ++i) {
        const std::string_view word = arguments[i], before = i > 1 ? arguments[i - 1] : "";
        if (word.empty() && text_flags().contains(before)) {
            arguments[i] = space;
            continue;
        }
        if (word.empty()) fail_usage("an empty argument{}{}", before.empty() ? "" : " behind ", before);
        if (word.starts_with("--") && word.ends_with('=')) fail_usage("{}: expected a value", word);
    }
}

// An exception that leaves a parallel region or a thread ends the process: it is reported like every other.
std::function<void(const std::exception&)> report_on_termination;

[[noreturn]] void report_and_exit() {
    try {
        if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
        report_on_termination(Error("terminated without an exception"));
    } catch (const std::bad_alloc&) {
        report_on_termination(Error("there is not enough memory for it"));
    } catch (const std::exception& error) {
        report_on_termination(error);
    } catch (...) {
        report_on_termination(Error("terminated by an unknown exception"));
    }
    std::_Exit(1);
}

}  // namespace

int run_program(CommandLine& program, int argument_count, char** arguments,
                const std::function<void(const std::exception&)>& report) {
    open_standard_streams();
    report_on_termination = report;
    std::set_terminate(report_and_exit);
    std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit of a file's size fails with an error instead
    try {
        refuse_empty_words(argument_count, arguments);
        program.app_->parse(argument_count, arguments);
        return 0;
    } catch (const CLI::ParseError& error) {
        const std::string leftover = describe_leftover_words(*program.app_);
        const bool asks_for_help = error.get_exit_code() == 0,
                   has_job = !program.app_->get_subcommands().empty();
        if (asks_for_help && (leftover.empty() || has_job)) return program.app_->exit(error);
        if (leftover.empty())
            report(error);
        else
            report(UsageError(leftover));
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

int run_program(CommandLine& program, const char* name, int argument_count, char** arguments) {
    return run_program(program, name, argument_count, arguments,
                       [name](const std::exception& error) { report_line(name, error.what()); });
}

int run_program(CommandLine& program, const char* name, int argument_count, char** arguments,
                const std::function<void(const std::exception&)>& report) {
    const int code = run_program(program, argument_count, arguments, report);
    std::cout.flush();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    if (code == 0)
        report_line(name, fmt::format("standard output: cannot be written: {}", std::strerror(errno)));
    return code == 0 ? 1 : code;
}
