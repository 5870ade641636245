// A program as two ranks on this machine.
#pragma once

#include <cstdlib>

#include "tests/end_to_end/test_directory.h"

// As root, on fewer cores than ranks and without ssh, too.
inline Outcome run_on_two_ranks(const TestDirectory& work, std::string_view program, const Words& arguments) {
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"})
        ::setenv(name, "1", 0);
    ::setenv("OMPI_MCA_rmaps_base_oversubscribe", "1", 0);
    ::setenv("OMPI_MCA_plm_rsh_agent", "false", 0);
    Command ranks("/usr/bin/env", Words{"mpirun", "--quiet", "-np", "2", "-x", "ASAN_OPTIONS=detect_leaks=0",
                                        work.program(program).string()} +
                                      arguments);
    return ranks.finish();
}
