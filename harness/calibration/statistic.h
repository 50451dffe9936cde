/// Statistics of an expert on its own data: the one header that an author of a statistic includes.
/// A statistic is a plain struct in harness/calibration/statistics/NAME.cpp:
///
///   struct InputGram {
///     static constexpr StatisticInfo info{.name = "input_gram", ...};
///     void parameters(auto&& p) { ... }                    // as methods declare theirs
///     Part observe(const StatisticBatch& batch) const;     // what a batch adds, of any type
///     void add(Part part);                                 // in the order of the batches
///     StatisticTensors finish(const NetworkShape& network, int64_t examples);  // often means
///     int64_t working_bytes(const NetworkShape& network) const;  // of its sums
///     // Optional: of a Part; of what is kept of an example of so many tokens at most.
///     int64_t part_bytes(const NetworkShape& network, int64_t tokens) const;
///     int64_t example_bytes(const NetworkShape& network, int64_t tokens) const;
///     bool labels() const;            // optional: whether it needs answers
///     at::ScalarType dtype() const;   // optional: of the network; float32
///   };
///   ASSAY_STATISTIC(InputGram)
///
/// observe() is called for several batches concurrently, a thread each, on which LibTorch's
/// operators then stay. All else runs on one thread, which may call concurrently() (parallel.h).
/// The bytes of a statistic are the same for any number of threads, and depend on how the examples
/// are divided into batches by rounding alone: sums are float64. See docs/statistics.md.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/calibration/data.h"
#include "harness/calibration/passes.h"
#include "harness/core/parameters.h"
#include "harness/core/registry.h"
#include "harness/method/evidence.h"
#include "harness/model/architecture.h"

namespace assay {

/// A statistic's identity and what it takes. `name`, `paper` and `summary` are mandatory.
struct StatisticInfo {
  std::string_view name;     ///< [a-z0-9_]+, unique
  int version = 1;           ///< raise it when its tensors change
  std::string_view paper;    ///< "arXiv:2212.09849 §3", or a URL
  std::string_view summary;  ///< one line
  bool gradients = false;    ///< the weights require gradients, and a batch is one example
  /// Its tensors are those of single layers and need no other's: where NetworkShape lists some of
  /// the layers, it is of these alone. After finish() it is as new.
  bool by_layer = false;
};

/// The network of an expert, as far as its weights do not matter.
struct NetworkShape {
  const Architecture& architecture;
  /// By the architecture's names: all, or those of a pass of a statistic by_layer.
  const std::vector<LayerInfo>& layers;
};

/// A batch of an expert's examples and the expert's network.
struct StatisticBatch {
  const NetworkShape& network;
  const StateDict& weights;  ///< by the architecture's names
  ModelBatch inputs;         ///< on the weights' device
  at::Tensor targets{};      ///< true class of each row of scores; undefined without labels()
  int64_t first = 0;         ///< index of its first example
  uint64_t seed = 0;         ///< of the calibration, for random draws
};

/// A finished statistic: tensors by the architecture's names.
struct StatisticTensors {
  StateDict tensors;
  /// Of a statistic of layers: those whose LayerInfo::input is among the tensors.
  std::vector<LayerInfo> layers{};
  /// How many vectors were averaged for a tensor, for statistics that average over tokens.
  std::map<std::string, int64_t> rows{};
};

/// A statistic with its parameters set. ASSAY_STATISTIC makes one of an author's struct.
class Statistic {
 public:
  virtual ~Statistic() = default;
  virtual const StatisticInfo& info() const = 0;
  /// Every parameter, defaults included.
  virtual Json parameters() const = 0;
  /// Whether this configuration needs the true answers.
  virtual bool labels() const = 0;
  /// What the network computes in.
  virtual at::ScalarType dtype() const = 0;
  /// About how much memory its sums take, in bytes.
  virtual int64_t working_bytes(const NetworkShape& network) const = 0;
  /// Likewise what observe() returns for a batch of so many tokens.
  virtual int64_t part_bytes(const NetworkShape& network, int64_t tokens) const = 0;
  /// Likewise what it keeps of an example of so many tokens at most, until it is finished.
  virtual int64_t example_bytes(const NetworkShape& network, int64_t tokens) const = 0;
  virtual std::any observe(const StatisticBatch& batch) const = 0;
  virtual void add(std::any part) = 0;
  virtual StatisticTensors finish(const NetworkShape& network, int64_t examples) = 0;
};

/// A registered statistic.
struct StatisticEntry {
  StatisticInfo info;
  std::vector<ParamDoc> parameters;
  std::function<std::unique_ptr<Statistic>(const JsonReader& parameters)> make;
};

Registry<StatisticEntry>& statistics();

/// UserError on an unknown name and on parameters that are unknown, of wrong type or out of range.
std::unique_ptr<Statistic> make_statistic(const std::string& name, const JsonReader& parameters);
/// Likewise, with complete parameters: what two methods ask for in different words is then equal.
StatisticRef complete(const StatisticRef& statistic);

/// Tokens of one batch, as CalibrationData::fitting() counts them.
inline constexpr int64_t kBatchTokens = 2048;

/// Runs the statistic over all examples. `weights`: by the architecture's names, in
/// statistic.dtype(), on one device. `passes`: of a statistic by_layer, as passes_of()
/// makes them; empty: one.
StatisticTensors compute_statistic(Statistic& statistic, const Architecture& architecture,
                                   const StateDict& weights, const CalibrationData& data,
                                   uint64_t seed, int64_t batch_tokens = kBatchTokens,
                                   const StatisticPasses& passes = {});

namespace detail {

template <typename T>
class StatisticAdaptor final : public Statistic {
 public:
  explicit StatisticAdaptor(const JsonReader& parameters) {
    assign_parameters(statistic_, parameters);
  }
  const StatisticInfo& info() const override { return T::info; }
  Json parameters() const override { return parameters_to_json(statistic_); }
  bool labels() const override {
    if constexpr (requires { statistic_.labels(); })
      return statistic_.labels();
    else
      return false;
  }
  at::ScalarType dtype() const override {
    if constexpr (requires { statistic_.dtype(); })
      return statistic_.dtype();
    else
      return at::kFloat;
  }
  int64_t working_bytes(const NetworkShape& network) const override {
    return statistic_.working_bytes(network);
  }
  int64_t part_bytes(const NetworkShape& network, int64_t tokens) const override {
    if constexpr (requires { statistic_.part_bytes(network, tokens); })
      return statistic_.part_bytes(network, tokens);
    else
      return 0;
  }
  int64_t example_bytes(const NetworkShape& network, int64_t tokens) const override {
    if constexpr (requires { statistic_.example_bytes(network, tokens); })
      return statistic_.example_bytes(network, tokens);
    else
      return 0;
  }
  std::any observe(const StatisticBatch& batch) const override { return statistic_.observe(batch); }
  void add(std::any part) override {
    using Part = decltype(statistic_.observe(std::declval<const StatisticBatch&>()));
    statistic_.add(std::any_cast<Part>(std::move(part)));
  }
  StatisticTensors finish(const NetworkShape& network, int64_t examples) override {
    return statistic_.finish(network, examples);
  }

 private:
  T statistic_;
};

template <typename T>
void register_statistic() {
  statistics().add(std::string(T::info.name),
                   {T::info, describe_parameters<T>(), [](const JsonReader& parameters) {
                      return std::make_unique<StatisticAdaptor<T>>(parameters);
                    }});
}

}  // namespace detail
}  // namespace assay

/// Registers a statistic. At namespace scope, once per statistic.
#define ASSAY_STATISTIC(Type) ASSAY_REGISTER([] { ::assay::detail::register_statistic<Type>(); })
