// Files of data/text that the programs carry inside, so that these run from any folder.
#pragma once

#include <string_view>

// The merge list of CLIP's byte-pair vocabulary (OpenAI 2021, MIT licence, data/text/LICENSE-CLIP.txt): lines
// 2 to 48895 of bpe_simple_vocab_16e6.txt.gz, two symbols a line, in order of rank.
std::string_view embedded_clip_merges();

// Tables of characters and of HTML5 entities (text_tables.h).
std::string_view embedded_text_tables();
