#include "runtime/tensor/require_memory.h"

#include "runtime/base/error.h"

void require_memory(const Tape& tape, const Plan& plan, std::string_view job, std::string_view remedy,
                    std::size_t beside) {
    if (plan.bytes <= tape.arena().slab_bytes()) return;
    const std::size_t free = available_memory(tape.device()), needed = plan.bytes + beside;
    if (needed > free)
        fail("{} needs {:.1f} MiB, {:.1f} MiB are free: {}", job, static_cast<double>(needed) / 0x1p20,
             static_cast<double>(free) / 0x1p20, remedy);
}
