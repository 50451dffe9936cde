/// The network of a merged model on calibration data.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/method/evidence.h"
#include "harness/method/hidden_states.h"
#include "harness/method/layer_inputs.h"
#include "harness/method/routed_network.h"
#include "harness/model/architecture.h"

namespace assay {

/// Data and the reference's weights are loaded when they are first needed. Thread-safe.
class CalibratedNetwork final : public Network,
                                public HiddenStates,
                                public StatesNetwork,
                                public LayerInputs,
                                public RoutedNetwork {
 public:
  using DataOf = std::function<std::shared_ptr<const CalibrationData>(size_t expert)>;

  /// `own_names`: the architecture's, by those of the merge. Without a reference all weights are
  /// given each time, under names that a checkpoint of the architecture may have.
  CalibratedNetwork(std::shared_ptr<const Architecture> architecture,
                    std::shared_ptr<const TensorSource> reference, at::Device device,
                    std::map<std::string, std::string> own_names, DataOf data,
                    std::map<size_t, size_t> negatives = {});

  int64_t examples(size_t expert) const override { return data(expert).size(); }
  at::Tensor logits(const StateDict& weights, size_t expert, int64_t first,
                    int64_t count) const override;
  at::Tensor logits_by_length(const StateDict& weights, size_t expert, int64_t first,
                              int64_t count) const override;
  at::Tensor routed_logits(const StateDict& weights, size_t expert, int64_t first, int64_t count,
                           const RouteTokens& route,
                           std::vector<RouterScores>& routers) const override;
  at::Tensor logits_and_states(const StateDict& weights, size_t expert, int64_t first,
                               int64_t count, std::vector<at::Tensor>& states) const override;
  at::Tensor targets(size_t expert, int64_t first, int64_t count) const override;
  at::Tensor row_examples(size_t expert, int64_t first, int64_t count) const override;
  StateDict input_grams(const StateDict& weights, size_t expert,
                        const std::vector<LayerInfo>& layers) const override;
  void observe(const StateDict& weights, size_t expert, int64_t first, int64_t count,
               const SeeLayer& see) const override;
  StateDict running_moments(const StateDict& weights, const std::vector<size_t>& experts,
                            int64_t batch) const override;

  std::vector<at::Tensor> states(size_t expert, int64_t first, int64_t count, Tap tap,
                                 Tokens tokens) const override;
  at::Tensor embedding_sums(size_t expert, int64_t first, int64_t count) const override;
  std::optional<size_t> negatives(size_t expert) const override;
  at::Tensor token_counts(size_t expert, int64_t first, int64_t count) const override;

 private:
  const CalibrationData& data(size_t expert) const;
  /// The reference's weights, replaced by those given, under the architecture's names.
  StateDict own_weights(const StateDict& weights) const;
  /// The embedding of tokens. UserError when there is none.
  const at::Tensor& embedding(const StateDict& own) const;
  /// The merge's name of each of the architecture's.
  std::map<std::string, std::string> merge_names() const;
  /// The same; without a reference of those that these weights have.
  std::map<std::string, std::string> merge_names(const StateDict& weights) const;

  std::shared_ptr<const Architecture> architecture_;
  std::shared_ptr<const TensorSource> reference_;
  at::Device device_;
  std::map<std::string, std::string> own_names_;
  DataOf open_data_;
  std::map<size_t, size_t> negatives_;
  mutable std::mutex mutex_;  ///< guards what is below
  mutable std::map<size_t, std::shared_ptr<const CalibrationData>> data_;
  mutable StateDict reference_weights_;
};

}  // namespace assay
