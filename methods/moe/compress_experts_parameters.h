/// The parameters of compress_experts.
#pragma once

#include <cstdint>

#include "harness/method/method.h"

namespace assay {

struct CompressExpertsParameters {
  enum class Store { kSums, kFactors };

  MethodComponent of{"average"};  // of one model that is the model
  double rank_ratio = 5.0 / 96;
  double rest = 0.1;
  int64_t steps = 32;
  int64_t warmup = 4;
  int64_t final = 16;
  double decay = 0.85;
  double learning_rate = 0;
  double distillation = 0;
  double temperature = 2;
  Store store = Store::kSums;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(of, {.name = "of",
           .help = "the method whose result is compressed, as merge_experts (MC-SMoE); it has the "
                   "tensors of the model"});
    p(rank_ratio, {.name = "rank_ratio",
                   .range = {0, 1},
                   .help = "the share of a matrix' values that its factors have; the default is "
                           "rank 32 of 768 x 3072"});
    p(rest, {.name = "rest",
             .range = {0, 1},
             .sweep = {0.1, 0.3, 0.5},
             .help = "the share of the rest's rows that are left in the end"});
    p(steps, {.name = "steps", .range = {0, 1000000}, .help = "batches of gradients"});
    p(warmup, {.name = "warmup",
               .range = {0, 1000000},
               .help = "steps before the first row is dropped; those of the learning rate's rise, "
                       "too"});
    p(final, {.name = "final",
              .range = {0, 1000000},
              .help = "steps at the end, in which the share of rows is the last one"});
    p(decay, {.name = "decay",
              .range = {0, 1},
              .help = "what the running mean of importance keeps in a step"});
    p(learning_rate, {.name = "learning_rate",
                      .range = {0, 1},
                      .help = "of AdamW, which falls linearly; 0: nothing is trained"});
    p(distillation, {.name = "distillation",
                     .range = {0, 1000},
                     .help = "the weight of the divergence from the whole mixture's predictions"});
    p(temperature, {.name = "temperature",
                    .range = {0.01, 100},
                    .help = "that scores are divided by in it; the divergence is summed over rows "
                            "and divided by examples, and not multiplied by the square"});
    p(store, {.name = "store",
              .choices = {"sums", "factors"},
              .help = "whether matrices are the sums, which any program can read, or their factors "
                      "and rows, which take less space and time"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a step"});
  }
};

}  // namespace assay
