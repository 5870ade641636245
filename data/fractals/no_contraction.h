// The built-in pictures are the same bytes on every machine. A compiler fuses products and sums where the
// processor can, which rounds once instead of twice, and an orbit near a fractal's boundary amplifies that. To
// be included before every other header, so that the inline functions of the standard library are compiled
// alike.
#pragma once

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif
