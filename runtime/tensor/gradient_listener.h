// A backward pass that says which parameters' gradients nothing will be added to any more, so that they can
// be summed over ranks while it goes on.
#pragma once

#include <cstddef>

#include "runtime/tensor/tape.h"

class GradientReadyListener {
  public:
    virtual ~GradientReadyListener() = default;
    // The gradients from this place of their slab to its end are complete; on the GPU, as soon as what is
    // queued has run. Parameters are registered in the order in which a forward pass meets them, so a
    // backward pass completes their slab from its end.
    virtual void ready_from(std::size_t offset) = 0;
};

// Recorded in front of what uses the parameters from `offset` on, and so called behind its backward pass.
// `listener` may be null, and is while planning.
inline void announce_ready(Tape& tape, GradientReadyListener* listener, std::size_t offset) {
    if (listener == nullptr || !tape.recording()) return;
    tape.record({}, {}, [listener, offset] { listener->ready_from(offset); });
}
