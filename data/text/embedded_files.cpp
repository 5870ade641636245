#include "data/text/embedded_files.h"

// Paths are relative to the root of the repository, where the compiler runs; the Makefile names both files as
// prerequisites of this object.
asm(R"(
    .pushsection .rodata
    .hidden clip_merges_begin
    .hidden clip_merges_end
    .hidden clip_text_tables_begin
    .hidden clip_text_tables_end
    .global clip_merges_begin
    .global clip_merges_end
    .global clip_text_tables_begin
    .global clip_text_tables_end
clip_merges_begin:
    .incbin "data/text/clip_merges.txt"
clip_merges_end:
clip_text_tables_begin:
    .incbin "data/text/clip_text_tables.txt"
clip_text_tables_end:
    .popsection
)");

extern "C" const char clip_merges_begin[], clip_merges_end[], clip_text_tables_begin[],
    clip_text_tables_end[];

std::string_view embedded_clip_merges() {
    return {clip_merges_begin, clip_merges_end};
}

std::string_view embedded_text_tables() {
    return {clip_text_tables_begin, clip_text_tables_end};
}
