// The name of a function of this program by its address.
#pragma once

#include <string>

namespace emulator {

// As the sources spell it, without parameters; the address in digits if the program holds no symbols.
std::string kernel_name(const void* function);

}  // namespace emulator
