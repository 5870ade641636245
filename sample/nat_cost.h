// `build/sample cost` of a masked-token transformer.
#pragma once

#include "models/nat/config.h"

// Parameters, and operations of a pass and of images in 4, 8, 12 and 16 steps, with and without guidance and
// the decoder of the tokenizer preset that has as many codes; an update of a search for strategies. As a table or
// one JSON object.
void print_nat_cost(const NatPreset& preset, bool json);
