// Errors. A message is one line that names the file, flag or tensor, the value found and the value expected.
// `UsageError` ends a program with exit code 2, every other exception with 1.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct UsageError : Error {
    using Error::Error;
};

// Throws Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
    throw Error(fmt::format(format, std::forward<Args>(args)...));
}

// Throws UsageError with the formatted message.
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
    throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}
