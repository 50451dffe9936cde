/// The parameters of fine_tune.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/method/method.h"
#include "methods/learned/fine_tuning.h"
#include "methods/moe/dropping_routes.h"
#include "methods/moe/sampled_routes.h"

namespace assay {

struct FineTuneParameters {
  enum class Schedule { kConstant, kLinear };
  enum class Teacher { kExperts, kReference };
  enum class Sampling { kNone, kGumbel };

  MethodComponent of{"moe"};
  int64_t router_tokens = 0, tokens = 4096;
  std::vector<std::string> train{"*"};
  FineTuning how{.method = "fine_tune"};
  Schedule schedule = Schedule::kLinear;
  Teacher teacher = Teacher::kExperts;
  int64_t top_k = 128;
  int64_t routing = 0;
  Sampling sampling = Sampling::kNone;
  Annealing annealing{};
  DropRule prune{};

  void parameters(auto&& p) {
    p(of, {.name = "of",
           .help = "the method whose result is trained; it may give any model that "
                   "is not divided by tasks"});
    p(router_tokens,
      {.name = "router_tokens",
       .range = {0, 1e12},
       .help = "the budget of a first stage, in which the routers of a mixture alone "
               "are trained: rows of scores that the loss looks at, of language "
               "models tokens of answers"});
    p(tokens, {.name = "tokens",
               .range = {0, 1e12},
               .sweep = {0, 16384, 65536},
               .help = "the budget of the stage after it; with both 0 the result stays as it is"});
    p(train,
      {.name = "train", .help = "globs of the tensors of the result that the second stage trains"});
    p(how.learning_rate,
      {.name = "learning_rate", .range = {0, 1}, .sweep = {1e-4, 3e-4, 1e-3}, .help = "AdamW's"});
    p(schedule, {.name = "schedule",
                 .choices = {"constant", "linear"},
                 .help = "whether the learning rate stays, or falls to 0 over each stage"});
    p(how.weight_decay, {.name = "weight_decay", .range = {0, 1}, .help = "AdamW's"});
    p(how.clip_norm, {.name = "clip_norm",
                      .range = {0, 1e6},
                      .help = "the largest norm of the gradient, to which it is scaled; 0: none"});
    p(how.batch, {.name = "batch",
                  .range = {1, 4096},
                  .help = "examples of every expert in a step, which all count alike"});
    p(how.balance, {.name = "balance",
                    .range = {0, 100},
                    .help = "of a mixture: the factor of Branch-Train-MiX's load balancing, over "
                            "the tokens of a step, summed over blocks"});
    p(routing, {.name = "routing",
                .range = {0, 4096},
                .help = "the experts that a token is sent to while a mixture is trained: 1, 2, or "
                        "all of them (soft routing); 0: as many as when it runs"});
    p(sampling,
      {.name = "sampling",
       .choices = {"none", "gumbel"},
       .help = "gumbel: while a mixture is trained a token is sent to one expert that is "
               "drawn, by the softmax over the router's scores plus Gumbel noise, divided "
               "by a temperature; its weight is its probability there"});
    p(annealing.start, {.name = "sampling.temperature",
                        .range = {1e-6, 1000},
                        .help = "the temperature of the first step"});
    p(annealing.decay, {.name = "sampling.decay",
                        .range = {0, 1000},
                        .help = "after so many steps t it is multiplied by exp(-decay t)"});
    p(annealing.least,
      {.name = "sampling.least", .range = {1e-6, 1000}, .help = "the least temperature"});
    p(prune.left, {.name = "prune",
                   .range = {0, 4096},
                   .help = "task-specific pruning: the experts of each layer that the second stage "
                           "leaves; it drops those that few tokens are sent to. 0: all are left"});
    p(prune.below,
      {.name = "prune.below",
       .range = {0, 1},
       .help = "experts with less than this share of an even usage are dropped after a "
               "step"});
    p(prune.decay, {.name = "prune.decay",
                    .range = {0, 1},
                    .help = "what the running mean of usage keeps in a step"});
    p(prune.until, {.name = "prune.until",
                    .range = {0, 1},
                    .help = "the share of the stage's tokens after which none but those that are "
                            "used most are left"});
    p(how.distillation, {.name = "distillation",
                         .range = {0, 1000},
                         .help = "weight of the KL divergence from a teacher, times the squared "
                                 "temperature; the mean over rows"});
    p(how.temperature, {.name = "temperature",
                        .range = {1e-3, 1000},
                        .help = "of the softmax over both scores in it"});
    p(teacher, {.name = "teacher",
                .choices = {"experts", "reference"},
                .help = "each expert on its own examples, which is the whole mixture where experts "
                        "of one are merged; or the base, and the first expert without one"});
    p(top_k, {.name = "top_k",
              .range = {0, 1 << 20},
              .help = "how many of a teacher's highest scores count in each row; 0: all"});
    p(how.keep_equal, {.name = "keep_equal",
                       .help = "whether tensors that are equal before stay equal, as copies of a "
                               "merged expert and of a tied head are to"});
  }
};

}  // namespace assay
