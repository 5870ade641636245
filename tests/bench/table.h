// The benchmark's table: a line per measurement, with the share of the machine's ceiling. It can also be
// written as a Markdown page.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/kernels.h"
#include "tests/bench/measure.h"

class Table {
  public:
    // `only`: names that contain it; "" for all.
    Table(Backend backend, Effort effort, std::string only)
        : backend_(backend), effort_(effort), only_(std::move(only)) {}

    const Backend& backend() const { return backend_; }
    const Effort& effort() const { return effort_; }
    bool wants(std::string_view name) const { return name.find(only_) != std::string_view::npos; }

    void begin(const Ceiling& ceiling);
    // On the GPU both rates are reported, and the bound is the slower of the two at the ceilings.
    void kernel(const Kernel& kernel);
    // `job` runs once and is done when it returns; `goal`: the share of the ceiling it should reach, 0: none
    // is set.
    void job(std::string_view name, double images, double operations, double goal,
             const std::function<void()>& job);
    // The same of a job that ran once, in this time, against the ceiling of the start.
    void timed_job(std::string_view name, double images, double operations, double seconds);
    // Data loading of training, on all of the host's threads: images per second, in all and per thread.
    void pipeline(std::string_view name, double images, const std::function<void()>& job);
    void note(std::string_view name, std::string_view why);  // a measurement that was not possible

    // Throws Error if the file cannot be written. `command`: the command line.
    void write_markdown(const std::string& path, std::string_view command) const;

  private:
    struct KernelRow {
        std::string name, shape;
        double seconds;
        Cost cost;
        bool by_memory;
    };
    struct JobRow {
        std::string name;
        double images, operations, ceiling, mean_share;
        Timing timing;
    };
    struct PipelineRow {
        std::string name;
        double images;
        Timing timing;
    };
    struct Note {
        std::string name, why;
    };

    void add_job(JobRow row, double goal);
    void print_on_cpu(const KernelRow& row) const;
    void print_on_gpu(const KernelRow& row) const;
    std::string markdown(std::string_view command) const;

    Backend backend_;
    Effort effort_;
    std::string only_;
    Ceiling ceiling_;
    std::vector<KernelRow> kernels_;
    std::vector<JobRow> jobs_;
    std::vector<PipelineRow> pipeline_;
    std::vector<Note> notes_;
};

// On the CPU: the steps of kernels/README.md from a naive loop to the kernel, as kernels.
void bench_layernorm_steps(Table& table);

// On a GPU: three operations from a naive kernel to today's (ladder/ladder.h), as kernels in bf16.
void bench_ladder(Table& table);

// Whole jobs: seconds and images per second, operations, and the share of the product's ceiling.
struct JobSizes {
    std::int64_t batch = 0;         // of the training step; 0: the largest power of two that memory allows
    std::int64_t chunk_tokens = 0;  // that a level computes at once; 0: chosen by device
};
void bench_training_step(Table& table, const JobSizes& sizes);
void bench_sampling(Table& table);
// Alone, since they take minutes. `measured` is called after each goal's rows.
void bench_goals(Table& table, const std::function<void()>& measured);
// Of the NAT pipeline: tokenizer, tokenizer_step, nat_step, nat_forward, generation. `paper`: autonat_s and
// vqgan_f16 on the CPU, too.
void bench_nat(Table& table, bool paper);
// Of feature networks: Inception-v3, and one of those trained here.
void bench_features(Table& table);
// Of the host: packing JPEG files and loading batches.
void bench_data(Table& table);
