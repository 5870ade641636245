// Most kernels have internal linkage and no dynamic symbol: their names are in the symbol table of the
// program's file only.
#include "tests/emulator/kernel_name.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

namespace emulator {
namespace {

std::vector<char> contents(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The symbol at an address of the file's own counting, empty if there is none.
std::string symbol(const std::vector<char>& file, std::uint64_t address) {
    const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(file.data());
    const std::span sections(reinterpret_cast<const Elf64_Shdr*>(file.data() + header.e_shoff),
                             header.e_shnum);
    for (const Elf64_Shdr& section : sections) {
        if (section.sh_type != SHT_SYMTAB) continue;
        const char* const names = file.data() + sections[section.sh_link].sh_offset;
        for (const Elf64_Sym& each :
             std::span(reinterpret_cast<const Elf64_Sym*>(file.data() + section.sh_offset),
                       section.sh_size / sizeof(Elf64_Sym)))
            if (each.st_value == address && ELF64_ST_TYPE(each.st_info) == STT_FUNC)
                return names + each.st_name;
    }
    return "";
}

// "void cuda::(anonymous namespace)::apply<float>(float*, long)" without result and parameters.
std::string without_parameters(std::string name) {
    int depth = 0;
    for (std::size_t i = name.size(); i > 0; --i) {  // the last pair of parentheses
        if (name[i - 1] == ')') ++depth;
        if (name[i - 1] == '(' && --depth == 0) {
            name.resize(i - 1);
            break;
        }
    }
    return name.starts_with("void ") ? name.substr(5) : name;
}

}  // namespace

std::string kernel_name(const void* function) {
    Dl_info information{};
    if (::dladdr(function, &information) == 0) return fmt::format("{}", function);
    const std::vector<char> file = contents("/proc/self/exe");
    if (file.size() < sizeof(Elf64_Ehdr)) return fmt::format("{}", function);
    const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(file.data());
    const std::uint64_t base =
        header.e_type == ET_DYN ? reinterpret_cast<std::uintptr_t>(information.dli_fbase) : 0;
    const std::string mangled = symbol(file, reinterpret_cast<std::uintptr_t>(function) - base);
    int status = 1;
    char* const demangled = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
    const std::string name = status == 0 ? without_parameters(demangled) : fmt::format("{}", function);
    std::free(demangled);
    return name;
}

}  // namespace emulator
