/// The parameters of merge_experts.
#pragma once

#include <cstdint>

#include "harness/method/method.h"
#include "methods/moe/group_choice.h"
#include "methods/moe/grouped_layer.h"

namespace assay {

struct MergeExpertsParameters {
  enum class Allocation { kUniform, kAdaptive };
  enum class Alignment { kNone, kFirst, kGroup };
  enum class Store { kCopies, kCompact };

  int64_t experts = 0;
  Allocation allocation = Allocation::kAdaptive;
  UsageTies ties = UsageTies::kFill;
  GroupChoice choice{};
  Alignment alignment = Alignment::kFirst;
  GroupMean merge = GroupMean::kUsage;
  double epsilon = 0;
  double subspace = 1;
  double zip_alpha = 0.1;
  bool refit = false;
  double ridge = 1e-6;
  Store store = Store::kCopies;
  int64_t batch = 16;

  void parameters(auto&& p) {
    p(experts, {.name = "experts",
                .range = {0, 4096},
                .help = "how many experts each layer has then, on average; 0: half of them"});
    p(allocation, {.name = "allocation",
                   .choices = {"uniform", "adaptive"},
                   .help = "whether each layer has so many, or those with more experts in use have "
                           "more"});
    p(ties, {.name = "ties",
             .choices = {"fill", "strict"},
             .help = "of adaptive allocation: of equal usages the first experts' count, or, as in "
                     "published code, none does and fewer experts are left"});
    p(choice.grouping,
      {.name = "grouping",
       .choices = {"usage", "linkage", "means", "random"},
       .help = "the experts that are used most, and each other one with the most alike of "
               "them; average linkage; k-means; or random groups"});
    p(choice.similarity,
      {.name = "similarity",
       .choices = {"router_logits", "router_weight", "expert_weight", "expert_inputs",
                   "expert_output", "feature", "random"},
       .help = "what experts are compared by: their logits, rows of the router, all their weights, "
               "those that read the input, the mean output on all tokens, the mean input of their "
               "own tokens, or chance"});
    p(choice.measure, {.name = "measure",
                       .choices = {"cosine", "distance"},
                       .help = "how these are compared: by cosine, or by Euclidean distance"});
    p(choice.capacity, {.name = "capacity",
                        .range = {0, 4096},
                        .help = "the most members of a group by usage; 0: no limit"});
    p(alignment, {.name = "alignment",
                  .choices = {"none", "first", "group"},
                  .help = "whether hidden units are matched by weights beforehand: to those of the "
                          "layer's first expert, or of the group's"});
    p(merge,
      {.name = "merge",
       .choices = {"usage", "uniform", "dominant", "fisher", "subspace", "zip"},
       .help = "the mean of a group's experts by usage, the plain mean, the one that is used most, "
               "the mean by Fisher information, the mean by usage in a joint subspace, or ZipIt"});
    p(epsilon, {.name = "epsilon",
                .range = {0, 1},
                .help = "what is added to the sum of usages in the mean by usage; published code "
                        "has 1e-7 or 1e-3, which shrinks experts that are used little"});
    p(subspace, {.name = "subspace",
                 .range = {1e-6, 1},
                 .help = "the share of singular values that the joint subspace keeps"});
    p(zip_alpha, {.name = "zip_alpha",
                  .range = {0, 1},
                  .help = "of ZipIt: what the similarities of a merged unit are multiplied by"});
    p(refit, {.name = "refit",
              .help = "whether the output matrix of a merged expert is fitted to the members' "
                      "outputs on all tokens, weighted by usage"});
    p(ridge, {.name = "ridge",
              .range = {0, 1},
              .help = "of the fit: how strongly it stays at the merged matrix, a multiple of the "
                      "mean diagonal of the Gram matrix"});
    p(store,
      {.name = "store",
       .choices = {"copies", "compact"},
       .help = "whether the experts of a group are equal copies, which any program can read, "
               "or stored once, with a map from the router's rows to them"});
    p(batch, {.name = "batch", .range = {1, 4096}, .help = "examples in a forward pass"});
  }
};

}  // namespace assay
