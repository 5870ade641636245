#include "data/charts/font.h"

#include <algorithm>
#include <cstddef>
#include <string>

namespace {

constexpr int glyph_columns = 5, glyph_rows = 9, baseline_row = 6, glyphs_per_band = 16;
constexpr char first_glyph = ' ', last_glyph = '~';

// Characters 32 to 126 and an empty one, sixteen side by side.
constexpr std::string_view glyphs = std::string_view(R"(
..... ..#.. .#.#. .#.#. ..#.. ##..# .##.. ..#.. ...#. .#... ..... ..... ..... ..... ..... ....#
..... ..#.. .#.#. .#.#. .#### ##..# #..#. ..#.. ..#.. ..#.. ..#.. ..#.. ..... ..... ..... ....#
..... ..#.. .#.#. ##### #.#.. ...#. #.#.. ..#.. .#... ...#. #.#.# ..#.. ..... ..... ..... ...#.
..... ..#.. ..... .#.#. .###. ..#.. .#... ..... .#... ...#. .###. ##### ..... .###. ..... ..#..
..... ..#.. ..... ##### ..#.# .#... #.#.# ..... .#... ...#. #.#.# ..#.. ..... ..... ..... .#...
..... ..... ..... .#.#. ####. #..## #..#. ..... ..#.. ..#.. ..#.. ..#.. ..#.. ..... ..... #....
..... ..#.. ..... .#.#. ..#.. #..## .##.# ..... ...#. .#... ..... ..... ..#.. ..... ..#.. #....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .#... ..... ..... .....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
.###. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###. ..... ..... ..... ..... ..... .###.
#...# .##.. #...# #...# ..##. #.... .#... ....# #...# #...# ..... ..... ...#. ..... .#... #...#
#...# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...# ..#.. ..#.. ..#.. ####. ..#.. ....#
#...# ..#.. ...#. ..##. #..#. ....# ####. ...#. .###. .#### ..... ..... .#... ..... ...#. ...#.
#...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....# ..... ..... ..#.. ####. ..#.. ..#..
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ...#. ..... ..#.. ...#. ..... .#... .....
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .##.. ..#.. ..#.. ..... ..... ..... ..#..
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .#... ..... ..... ..... .....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
.###. ..#.. ####. .###. ###.. ##### ##### .###. #...# .###. ..### #...# #.... #...# #...# .###.
#...# .#.#. #...# #...# #..#. #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.## ##..# #...#
#.### #...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.# #.#.# #...#
#.#.# #...# ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.# #.#.# #...#
#.### ##### #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...# #..## #...#
#.... #...# #...# #...# #..#. #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...# #...# #...#
.###. #...# ####. .###. ###.. ##### #.... .###. #...# .###. .##.. #...# ##### #...# #...# .###.
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
####. .###. ####. .#### ##### #...# #...# #...# #...# #...# ##### .###. #.... .###. ..#.. .....
#...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....# .#... #.... ...#. .#.#. .....
#...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#. .#... .#... ...#. #...# .....
####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#.. .#... ..#.. ...#. ..... .....
#.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#... .#... ...#. ...#. ..... .....
#.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #.... .#... ....# ...#. ..... .....
#.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. ##### .###. ....# .###. ..... .....
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... #####
..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
.#... ..... #.... ..... ....# ..... ..##. ..... #.... ..#.. ...#. #.... .##.. ..... ..... .....
..#.. ..... #.... ..... ....# ..... .#... ..... #.... ..... ..... #.... ..#.. ..... ..... .....
..... .###. ####. .###. .#### .###. ####. .#### ####. .##.. ..##. #..#. ..#.. ####. ####. .###.
..... ....# #...# #...# #...# #...# .#... #...# #...# ..#.. ...#. #.#.. ..#.. #.#.# #...# #...#
..... .#### #...# #.... #...# ##### .#... #...# #...# ..#.. ...#. ##... ..#.. #.#.# #...# #...#
..... #...# #...# #...# #...# #.... .#... #...# #...# ..#.. ...#. #.#.. ..#.. #.#.# #...# #...#
..... .#### ####. .###. .#### .#### .#... .#### #...# .###. ...#. #..#. .###. #.#.# #...# .###.
..... ..... ..... ..... ..... ..... ..... ....# ..... ..... ...#. ..... ..... ..... ..... .....
..... ..... ..... ..... ..... ..... ..... .###. ..... ..... .##.. ..... ..... ..... ..... .....
..... ..... ..... ..... .#... ..... ..... ..... ..... ..... ..... ..##. ..#.. .##.. ..... .....
..... ..... ..... ..... .#... ..... ..... ..... ..... ..... ..... .#... ..#.. ...#. ..... .....
####. .#### #.##. .#### ####. #...# #...# #...# #...# #...# ##### .#... ..#.. ...#. .#..# .....
#...# #...# ##..# #.... .#... #...# #...# #.#.# .#.#. #...# ...#. #.... ..#.. ....# #.##. .....
#...# #...# #.... .###. .#... #...# #...# #.#.# ..#.. #...# ..#.. .#... ..#.. ...#. ..... .....
#...# #...# #.... ....# .#... #...# .#.#. #.#.# .#.#. #...# .#... .#... ..#.. ...#. ..... .....
####. .#### #.... ####. ..##. .#### ..#.. .#.#. #...# .#### ##### ..##. ..#.. .##.. ..... .....
#.... ....# ..... ..... ..... ..... ..... ..... ..... ....# ..... ..... ..... ..... ..... .....
#.... ....# ..... ..... ..... ..... ..... ..... ..... .###. ..... ..... ..... ..... ..... .....
)")
                                        .substr(1);

bool is_inked(char character, int column, int row) {
    if (column < 0 || column >= glyph_columns || row < 0 || row >= glyph_rows) return false;
    const int glyph = character - first_glyph, band = glyph / glyphs_per_band,
              left = glyph % glyphs_per_band * (glyph_columns + 1);
    constexpr int bytes_per_line = glyphs_per_band * (glyph_columns + 1);  // the last one a line feed
    return glyphs[static_cast<std::size_t>((band * glyph_rows + row) * bytes_per_line + left + column)] ==
           '#';
}

Position place(int column, int row) {
    return {static_cast<double>(column), static_cast<double>(row - baseline_row)};
}

// Strokes connect neighbouring dots, diagonally only if there is no path around the corner; isolated dots
// remain dots.
void append_glyph(std::vector<Stroke>& strokes, char character) {
    const auto inked = [character](int column, int row) { return is_inked(character, column, row); };
    for (int row = 0; row < glyph_rows; ++row)
        for (int column = 0; column < glyph_columns; ++column) {
            if (!inked(column, row)) continue;
            const std::size_t before = strokes.size();
            const Position here = place(column, row);
            if (inked(column + 1, row)) strokes.push_back({here, place(column + 1, row)});
            if (inked(column, row + 1)) strokes.push_back({here, place(column, row + 1)});
            for (const int aside : {-1, 1})
                if (inked(column + aside, row + 1) && !inked(column + aside, row) && !inked(column, row + 1))
                    strokes.push_back({here, place(column + aside, row + 1)});
            if (strokes.size() == before) strokes.push_back({here, here});
        }
}

// UTF-8 as ASCII: a question mark for every other code point.
std::string ascii(std::string_view text) {
    std::string shown;
    for (const char c : text) {
        const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
        if (!continues) shown += c >= first_glyph && c <= last_glyph ? c : '?';
    }
    return shown;
}

}  // namespace

std::vector<Stroke> text_strokes(std::string_view text) {
    std::vector<Stroke> strokes;
    double left = 0;
    for (const char character : ascii(text)) {
        const std::size_t before = strokes.size();
        append_glyph(strokes, character);
        for (std::size_t i = before; i < strokes.size(); ++i) {
            strokes[i].from.x += left;
            strokes[i].to.x += left;
        }
        left += letter_pitch;
    }
    return strokes;
}

double text_width(std::string_view text) {
    return std::max(0.0, static_cast<double>(ascii(text).size()) * letter_pitch - 2);
}

std::vector<std::string> wrapped_text(std::string_view text, double width) {
    const auto letters = static_cast<std::size_t>(std::max(1.0, width / letter_pitch));
    std::vector<std::string> lines;
    while (text.size() > letters) {
        std::size_t end = text.rfind(' ', letters);
        if (end == std::string_view::npos || end == 0) end = letters;
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(text[end] == ' ' ? end + 1 : end);
    }
    if (!text.empty() || lines.empty()) lines.emplace_back(text);
    return lines;
}
