// Words of a command line that no flag and no job took: a misspelt flag, for instance, which CLI11 names only
// when nothing else is wrong.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/nearest_word.h"

namespace leftover_words {

// Without what stands before the first letter or digit, dashes of any kind, and without "=VALUE".
inline std::string bare(std::string_view word) {
    while (!word.empty() && std::isalnum(static_cast<unsigned char>(word.front())) == 0)
        word.remove_prefix(1);
    return std::string(word.substr(0, word.find('=')));
}

inline std::vector<std::string> flags_of(const CLI::App& job) {
    std::vector<std::string> flags;
    for (const CLI::Option* option : job.get_options())
        flags.insert(flags.end(), option->get_lnames().begin(), option->get_lnames().end());
    return flags;
}

inline std::vector<const CLI::App*> jobs_of(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

// Jobs below `app` that have the flag, as they are called on the command line.
inline std::vector<std::string> jobs_with(const CLI::App& app, const std::string& flag) {
    std::vector<std::string> names;
    for (const CLI::App* job : jobs_of(app)) {
        if (std::ranges::count(flags_of(*job), flag) > 0) names.push_back(job->get_name());
        for (const std::string& name : jobs_with(*job, flag)) names.push_back(job->get_name() + " " + name);
    }
    return names;
}

inline std::string describe_job(const CLI::App& app, const std::string& word) {
    std::vector<std::string> names;
    for (const CLI::App* job : jobs_of(app)) names.push_back(job->get_name());
    const std::string expected = fmt::format("{}", fmt::join(names, ", "));
    if (word.starts_with('-')) return fmt::format("{}: expected a job before it: {}", word, expected);
    const std::string nearest = nearest_word(word, names);
    return nearest.empty() ? fmt::format("no job {}; expected {}", word, expected)
                           : fmt::format("no job {}; did you mean {}?", word, nearest);
}

inline std::string describe_before_job(const CLI::App& job, const std::string& word) {
    const auto flags = flags_of(job);
    if (word.starts_with('-') && std::ranges::count(flags, bare(word)) > 0)
        return fmt::format("{}: stands before the job; write it after {}", word, job.get_name());
    return fmt::format("{}: expected nothing but flags after the job, which is {}", word, job.get_name());
}

inline std::string describe_word(const CLI::App& program, const CLI::App& job, const std::string& word) {
    const auto flags = flags_of(job);
    const std::string flag = bare(word);
    const bool is_flag = std::isalnum(static_cast<unsigned char>(word.front())) == 0;
    if (!is_flag) {
        const bool lacks_dashes = std::ranges::count(flags, flag) > 0;
        return lacks_dashes ? fmt::format("{}: not expected; did you mean --{}?", word, flag)
                            : fmt::format("{}: not expected: it follows no flag that takes it", word);
    }
    const std::string name = word.substr(0, word.find('=')), nearest = nearest_word(flag, flags);
    if (!nearest.empty()) return fmt::format("{}: no such flag; did you mean --{}?", name, nearest);
    const auto others = jobs_with(program, flag);
    return others.empty()
               ? fmt::format("{}: no such flag; --help lists them", name)
               : fmt::format("{}: no flag of {}, but of {}", name, job.get_name(), fmt::join(others, ", "));
}

}  // namespace leftover_words

// What is wrong with the first of them, "" if there are none. After `program` has parsed, or tried to.
inline std::string describe_leftover_words(const CLI::App& program) {
    const CLI::App* app = &program;
    while (true) {
        const auto words = app->remaining();
        const auto parsed = app->get_subcommands();
        const auto first = std::ranges::find_if(words, [](const std::string& word) { return word != "--"; });
        if (first != words.end()) {
            if (!parsed.empty()) return leftover_words::describe_before_job(*parsed.front(), *first);
            return leftover_words::jobs_of(*app).empty()
                       ? leftover_words::describe_word(program, *app, *first)
                       : leftover_words::describe_job(*app, *first);
        }
        if (parsed.empty()) return "";
        app = parsed.front();
    }
}
