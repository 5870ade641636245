// Called when parameter gradients are final, so that their all-reduce overlaps the rest of the backward pass.
#pragma once

#include <cstddef>

#include "runtime/tensor/tape.h"

class GradientReadyListener {
  public:
    virtual ~GradientReadyListener() = default;
    // The gradients from `offset` (in floats) to the end of the slab are final; on the GPU, once the work
    // queued so far has run. Parameters are registered in forward order, so the backward pass completes the
    // slab from its end.
    virtual void ready_from(std::size_t offset) = 0;
};

// Recorded before the operations on the parameters from `offset` on, hence called after their backward pass.
// `listener` may be null; it is null while planning.
inline void announce_ready(Tape& tape, GradientReadyListener* listener, std::size_t offset) {
    if (listener == nullptr || !tape.recording()) return;
    tape.record({}, {}, [listener, offset] { listener->ready_from(offset); });
}
