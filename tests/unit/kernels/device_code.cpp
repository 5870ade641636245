#include "tests/unit/kernels/device_code.h"

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace {

constexpr unsigned em_cuda = 190;
constexpr std::uint64_t load_global = 0x981, copy_global_to_shared = 0xFAE, load_local = 0x983,
                        store_local = 0x387;

template <class T>
T read(std::span<const char> bytes, std::size_t offset) {
    T value{};
    if (offset <= bytes.size() && sizeof(T) <= bytes.size() - offset)
        std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

void count_instructions(DeviceCode& code, std::span<const char> text) {
    for (std::size_t at = 0; at + 16 <= text.size(); at += 16) {
        const auto low = read<std::uint64_t>(text, at), high = read<std::uint64_t>(text, at + 8);
        const std::uint64_t opcode = low & 0xFFF, size = high >> 9 & 7;
        code.local_accesses += opcode == load_local || opcode == store_local;
        code.wide_loads += (opcode == load_global || opcode == copy_global_to_shared) && size == 6;
    }
}

void read_cubin(std::vector<DeviceCode>& found, std::span<const char> cubin) {
    const auto header = read<Elf64_Ehdr>(cubin, 0);
    const auto section = [&](std::size_t i) {
        return read<Elf64_Shdr>(cubin, header.e_shoff + i * header.e_shentsize);
    };
    const std::size_t names = section(header.e_shstrndx).sh_offset;
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
        const Elf64_Shdr each = section(i);
        const std::size_t name_at = names + each.sh_name;
        if (name_at >= cubin.size() || each.sh_offset + each.sh_size > cubin.size()) continue;
        const std::string_view rest(cubin.data() + name_at, cubin.size() - name_at);
        const std::string_view name = rest.substr(0, rest.find('\0'));
        constexpr std::string_view prefix = ".text.";
        if (!name.starts_with(prefix)) continue;
        DeviceCode code{std::string(name.substr(prefix.size())), each.sh_size};
        count_instructions(code, cubin.subspan(each.sh_offset, each.sh_size));
        found.push_back(code);
    }
}

}  // namespace

std::vector<DeviceCode> device_code(std::span<const char> object) {
    std::vector<DeviceCode> found;
    const std::string_view all(object.data(), object.size());
    for (std::size_t at = all.find(ELFMAG); at != std::string_view::npos; at = all.find(ELFMAG, at + 1))
        if (read<Elf64_Ehdr>(object, at).e_machine == em_cuda) read_cubin(found, object.subspan(at));
    return found;
}
