// NumPy's .npy format: 6 bytes of magic, 2 of the version, the length of the header in 2 (version 1.0) or 4
// bytes (2.0, 3.0), the header, the array's bytes. The header is the text of a Python dictionary:
//
//     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//
// Source: numpy/lib/format.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/scalar_type.h"

// An array as its header describes it.
struct NpyArray {
    std::string dtype;               // as it stands there: "<f4", "|u1", "<U12"
    std::optional<ScalarType> type;  // none: text, of which an element is `element_bytes` of UTF-32
    std::size_t element_bytes = 0;
    bool big_endian = false;
    bool fortran_order = false;  // the first index runs fastest, not the last
    std::vector<std::int64_t> shape;
    std::size_t header_bytes = 0;  // before the array's

    // The header guarantees that neither overflows.
    std::int64_t count() const;
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(count()) * element_bytes; }
};

// Enough of a file's start for npy_header_bytes(), if the file is that long.
inline constexpr std::size_t npy_start_bytes = 12;

// Bytes up to the array's, from the file's start; at most maximum_npy_header. Throws Error, starting with
// `name`, if these are no NumPy array's, of an unknown version, or the length is absurd.
inline constexpr std::size_t maximum_npy_header = std::size_t{1} << 17;
std::size_t npy_header_bytes(std::string_view start, const std::string& name);

// The array that the header describes, `header` being npy_header_bytes() from the start. Real numbers of either
// byte order, bool and text are read. Throws Error, starting with `name`: for Python objects, which are never
// unpickled, structured and other types, shapes that are negative or overflow, a header that is no such
// dictionary.
NpyArray parse_npy_header(std::string_view header, const std::string& name);

// The header, version 1.0, of an array in C order; a multiple of 64 bytes long.
std::string npy_header(std::string_view dtype, const std::vector<std::int64_t>& shape);

// "(2, 3)", as Python writes it.
std::string shape_text(const std::vector<std::int64_t>& shape);
