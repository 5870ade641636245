// What the benchmark measures, a file each. Kernels run at the shapes of the benchmark model (model.cpp) at
// batch 32: level 0 with 32 sequences of 64 tokens of width 256, level 1 with chunks of 128 sequences of 16
// tokens of width 128 (2,048 rows), the pixel level with chunks of 682 pixels of 3 tokens of width 64 (2,046
// rows). Sampling has 16 rows.
#pragma once

#include "tests/bench/table.h"

void bench_products(Table& table);
void bench_attention(Table& table);
void bench_elementwise(Table& table);  // norms, activations, residuals, dropout, rotary embedding
void bench_rows(Table& table);  // sequences, embeddings, losses, draws, pixels, patches, sums, optimizer

// Seconds and operations of whole jobs, with the share of the ceiling.
void bench_training_step(const Table& table);
void bench_sampling(const Table& table);
