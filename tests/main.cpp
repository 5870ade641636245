// Runs every test case of the build's tests; flags are doctest's (--help).
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "runtime/device/device.h"

int main(int argument_count, char** arguments) {
    flush_denormals();
    return doctest::Context(argument_count, arguments).run();
}
