/// Routers: how the gates of a mixture of experts are made. A router is a plain struct, like a
/// method:
///
///   struct Random {
///     static constexpr RouterInfo info{.name = "random", ...};
///     double deviation = 1;
///     void parameters(auto&& p) { p(deviation, {.name = "deviation", ...}); }
///     Needs needs() const;                           // optional: where parameters decide them
///     std::vector<StatisticRef> statistics() const;  // optional: of every expert's data
///     std::optional<std::string> conflict() const;   // optional: exclusive parameters
///     int64_t rows_per_expert() const;               // optional: 1 without it
///     std::vector<at::Tensor> gates(const RouterJob& job) const;
///   };
///   ASSAY_ROUTER(Random)
///
/// A method has one as a parameter:
///
///   RouterComponent router{"random"};                // the default
///   void parameters(auto&& p) { p(router, {.name = "router", .help = "..."}); }
///
/// In JSON it is a name, or an object: {"router": "random", "deviation": 0.02}; without "router"
/// these are parameters of the default. See docs/adding-a-router.md.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/core/parameters.h"
#include "harness/core/registry.h"
#include "harness/method/evidence.h"
#include "harness/method/info.h"
#include "harness/method/job.h"

namespace assay {

/// A router's identity and properties. `name`, `paper` and `summary` are mandatory.
struct RouterInfo {
  std::string_view name;     ///< [a-z0-9_]+, unique
  int version = 1;           ///< raise it when gates change: old scores are then not reused
  std::string_view paper;    ///< "arXiv:2403.07816 §2", or a URL
  std::string_view summary;  ///< one line
  Needs needs{};
  bool randomized = false;  ///< the gates depend on the seed
};

/// What a router is given.
struct RouterJob {
  /// The tensors outside of the experts' feed-forwards, and the gates; a gate's values mean
  /// nothing. Where a router needs data, row i is of expert i of the evidence.
  const ModelJob& models;
  std::vector<std::string> gates;  ///< the name of each block's gate, in the blocks' order
  size_t experts = 0;              ///< those that a gate has rows for
  int64_t width = 0;               ///< columns of a gate

  /// The Philox key of one row of one block's gate.
  uint64_t key(size_t block, size_t expert) const {
    return models.parts(gates.at(block)).expert_key(expert);
  }
};

/// A router with its parameters set. ASSAY_ROUTER makes one of an author's struct.
class Router {
 public:
  virtual ~Router() = default;
  virtual const RouterInfo& info() const = 0;
  /// What this configuration requires. A router that lists statistics needs calibration inputs.
  virtual Needs needs() const = 0;
  virtual std::vector<StatisticRef> statistics() const = 0;
  virtual std::optional<std::string> conflict() const = 0;
  /// Every parameter, defaults included.
  virtual Json parameters() const = 0;
  /// How many rows of a gate send tokens to one expert, k.
  virtual int64_t rows_per_expert() const { return 1; }
  /// The gate of each block, float32 [experts * k, width]: rows from i * k on score what is sent to
  /// expert i.
  virtual std::vector<at::Tensor> gates(const RouterJob& job) const = 0;
};

/// A registered router.
struct RouterEntry {
  RouterInfo info;
  std::vector<ParamDoc> parameters;
  std::function<std::unique_ptr<Router>(const JsonReader& parameters)> make;
};

Registry<RouterEntry>& routers();

/// A parameter that is a router. Copies share it: a configuration is read into one of its own.
class RouterComponent {
 public:
  static constexpr std::string_view kType = "router";

  /// `name`: the default.
  explicit RouterComponent(std::string name);

  const Router& operator*() const { return *router_; }
  const Router* operator->() const { return router_.get(); }

  /// UserError on unknown names and on parameters that are unknown, of wrong type or out of range.
  void read(const JsonReader& json);
  /// {"router", every parameter, "version"}: read() takes it, as long as the version is the same.
  Json to_json() const;
  /// The router's parameters, with the values that it has as their defaults.
  std::vector<ParamDoc> describe() const;

 private:
  std::string name_;  ///< the default
  std::shared_ptr<const Router> router_;
};

namespace detail {

template <typename T>
class RouterAdaptor final : public Router {
 public:
  explicit RouterAdaptor(const JsonReader& parameters) { assign_parameters(router_, parameters); }
  const RouterInfo& info() const override { return T::info; }
  Needs needs() const override {
    Needs needs = T::info.needs;
    if constexpr (requires { router_.needs(); }) needs = router_.needs();
    if (!statistics().empty()) needs.calibration_inputs = true;
    return needs;
  }
  std::vector<StatisticRef> statistics() const override {
    if constexpr (requires { router_.statistics(); })
      return router_.statistics();
    else
      return {};
  }
  std::optional<std::string> conflict() const override {
    if constexpr (requires { router_.conflict(); })
      return router_.conflict();
    else
      return std::nullopt;
  }
  Json parameters() const override { return parameters_to_json(router_); }
  int64_t rows_per_expert() const override {
    if constexpr (requires { router_.rows_per_expert(); })
      return router_.rows_per_expert();
    else
      return 1;
  }
  std::vector<at::Tensor> gates(const RouterJob& job) const override { return router_.gates(job); }

 private:
  T router_;
};

template <typename T>
bool register_router() {
  return routers().add(std::string(T::info.name),
                       {T::info, describe_parameters<T>(), [](const JsonReader& parameters) {
                          return std::make_unique<RouterAdaptor<T>>(parameters);
                        }});
}

}  // namespace detail
}  // namespace assay

/// Registers a router. At namespace scope, once per router.
#define ASSAY_ROUTER(Type) ASSAY_REGISTER([] { ::assay::detail::register_router<Type>(); })
