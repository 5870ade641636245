// The command line of a program: jobs (subcommands) and their flags. CLI11 parses it; its headers cost
// seconds of every source file that includes them, so that command_line.cpp alone does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

// Returns a message if the word of a flag is not a value of it, else nothing.
using FlagCheck = std::function<std::string(const std::string& word)>;
// Whole numbers from `least` to `most`; from `least` to the largest of 32 bits with a sign.
FlagCheck within(std::int64_t least, std::int64_t most);
FlagCheck at_least(std::int64_t least);
// Seeds, which may be any 64 bits.
FlagCheck any_seed();
// Finite numbers above 0.
FlagCheck above_zero();
FlagCheck one_of(std::initializer_list<const char*> words);

// A flag of a job. Each function returns the flag itself.
class Option {
  public:
    explicit Option(CLI::Option* option) : option_(option) {}
    Option* required();
    // Of the value, in --help: FILE, DIR, NAME.
    Option* type_name(const std::string& name);
    // --help states the value that the variable holds now.
    Option* capture_default_str();
    Option* check(const FlagCheck& check);
    // Several values in one word, separated by `separator`.
    Option* delimiter(char separator);
    // Number of values.
    Option* expected(int count);
    Option* expected(int least, int most);
    // The value is a text, which may be empty: then it is a space.
    Option* takes_text();
    Option* needs(Option* other);
    Option* excludes(Option* other);
    // Of the times that the command line gives it.
    std::size_t count() const;
    std::string get_name() const;

  private:
    CLI::Option* option_;
};

// What a request gives of a job's flag: its name without dashes, and its value as a word, or a list of them.
struct FlagValues {
    std::string name;
    std::vector<std::string> words;
    bool list = false;
};

// A program or one of its jobs.
class CommandLine {
  public:
    // A program. Of a flag that is given twice the last counts, so that flags behind those of a script or of
    // the Makefile prevail.
    explicit CommandLine(const std::string& meaning);
    ~CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    // A job of its own; a command with jobs requires one of them.
    CommandLine* add_subcommand(const std::string& name, const std::string& meaning);
    // `value` is a string, a number, an optional of either or a vector of either, and holds the default. A
    // name without dashes is a positional argument.
    template <class T>
    Option* add_option(const std::string& name, T& value, const std::string& meaning);
    Option* add_flag(const std::string& name, bool& value, const std::string& meaning);
    // "--name,!--no-name": called with whether the positive form was given.
    Option* add_flag_function(const std::string& name, const std::function<void(bool)>& take,
                              const std::string& meaning);
    // Sets the variables of flags as a command line that gives them does. Throws UsageError for a name that is
    // no flag's, an empty word of a flag that takes no text, a list for a flag of one value, and a word that is
    // no value of the flag.
    void take(std::span<const FlagValues> given);
    // Called when the command line is parsed and this job was chosen.
    void callback(const std::function<void()>& run);

  private:
    friend int run_program(CommandLine& program, int argument_count, char** arguments,
                           const std::function<void(const std::exception&)>& report);
    explicit CommandLine(CLI::App* app);
    Option* keep(CLI::Option* option);

    std::unique_ptr<CLI::App> owned_;
    CLI::App* app_;
    std::vector<std::unique_ptr<CommandLine>> jobs_;
    std::deque<Option> options_;
};

// The frame of a program: parses, runs the chosen job, and reports an error with `report`. Returns the exit
// code: 0, 2 for a wrong command line (UsageError), 1 for every other exception.
int run_program(CommandLine& program, int argument_count, char** arguments,
                const std::function<void(const std::exception&)>& report);
// For a program whose output is its result: the output must have been written as a whole, or the program
// fails. Errors are one line on stderr that begins with `name`.
int run_program(CommandLine& program, const char* name, int argument_count, char** arguments);
// The same with a report of its own, as for ranks.
int run_program(CommandLine& program, const char* name, int argument_count, char** arguments,
                const std::function<void(const std::exception&)>& report);
