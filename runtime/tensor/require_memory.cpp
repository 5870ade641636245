#include "runtime/tensor/require_memory.h"

#include "runtime/base/error.h"

void require_memory(const Tape& tape, const Plan& plan, std::string_view job, std::string_view remedy) {
    if (plan.bytes <= tape.arena().slab_bytes()) return;
    const std::size_t free = available_memory(tape.device());
    if (plan.bytes > free)
        fail("{} needs {:.1f} MiB, {:.1f} MiB are free: {}", job, static_cast<double>(plan.bytes) / 0x1p20,
             static_cast<double>(free) / 0x1p20, remedy);
}
