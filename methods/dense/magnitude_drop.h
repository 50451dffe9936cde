/// DELLA's drop, arXiv:2406.11617: entries of a task vector are dropped at random, the small ones
/// of each row more often than the large ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "methods/dense/whole_deltas.h"

namespace assay {

struct MagnitudeDrop {
  double drop = 0.3;
  double window = 0.14;
  std::vector<double> drops{}, windows{};
  RandomDrop::Rescale rescale = RandomDrop::Rescale::kInvKeep;

  void parameters(auto&& p) {
    p(drop, {.name = "drop",
             .range = {0, 1},
             .sweep = {0.2, 0.3, 0.5, 0.7},
             .help = "mean probability that an entry of a task vector is dropped"});
    p(window, {.name = "window",
               .range = {0, 1},
               .help = "how much likelier the smallest entry of a row is dropped than the largest; "
                       "twice mergekit's epsilon. A row is what one output sums up, also of "
                       "convolutions, which the authors' code does not know; a bias is one row"});
    p(drops,
      {.name = "drops", .range = {0, 1}, .help = "a drop per expert; empty: drop for all of them"});
    p(windows, {.name = "windows",
                .range = {0, 1},
                .help = "a window per expert; empty: window for all of them"});
    p(rescale,
      {.name = "rescale",
       .choices = {"inv_keep", "l1_match", "none"},
       .help = "an entry that is left is divided by its own probability to stay (inv_keep, the "
               "authors), all of them are multiplied so as to keep each tensor's L1 norm "
               "(l1_match, mergekit), or not at all (none)"});
  }

  /// Probabilities that leave [0, 1].
  std::optional<std::string> conflict() const;
  void check(const ModelJob& job) const;
  /// Probability of every entry to stay.
  static at::Tensor keep_probabilities(const at::Tensor& delta, double drop, double window);
  /// Drops and rescales.
  void apply(const TensorJob& job, std::vector<at::Tensor>& deltas) const;

 private:
  double drop_of(size_t expert) const { return drops.empty() ? drop : drops[expert]; }
  double window_of(size_t expert) const { return windows.empty() ? window : windows[expert]; }
};

/// The drop and what merges the rest: DELLA with and without an election.
struct MagnitudeDropMerge {
  MagnitudeDrop random{};
  DeltaReduction reduction{};

  std::optional<std::string> conflict() const { return random.conflict(); }
  void prepare(const ModelJob& job) const {
    check_weights(reduction.weights, job);
    random.check(job);
  }
  at::Tensor merge(const TensorJob& job, double scale) const {
    std::vector<at::Tensor> deltas = whole_deltas(job, reduction.compute);
    random.apply(job, deltas);
    return reduction.merge(job, deltas, scale);
  }
};

}  // namespace assay
