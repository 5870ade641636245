#include "runtime/device/backend_flags.h"

#include "runtime/base/command_line.h"
#include "runtime/device/built_backends.h"

void add_backend_flags(CommandLine& app, BackendFlags& flags) {
    app.add_option("--device", flags.device,
                   cuda_backend_built ? "cpu or cuda" : "cpu; this build has no CUDA backend")
        ->type_name("NAME")
        ->capture_default_str();
    app.add_option(
           "--precision", flags.precision,
           "fp32 or bf16: precision of matrix products, on a GPU of activations as well; weights and sums "
           "are fp32 in either (default: fp32 on the CPU, bf16 on a GPU)")
        ->type_name("NAME");
}
