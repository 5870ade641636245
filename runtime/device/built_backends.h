// Which backends this build has. Only what dispatches between them includes this: all other objects are the same
// in every build, and compiled once (Makefile).
#pragma once

#ifdef FRACTAL_CUDA
inline constexpr bool cuda_backend_built = true;
#else
inline constexpr bool cuda_backend_built = false;
#endif
