#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "harness/cost/internal/flops_rules.h"
#include "harness/cost/meter.h"

namespace assay {
namespace {

const FlopsRules& rules() {
  static const FlopsRules table = [] {
    FlopsRules all = elementary_rules();
    all.merge(composed_rules());
    return all;
  }();
  return table;
}

// An operator with a rule includes all operators that it calls.
thread_local int inside_counted = 0;

struct Counted : at::ObserverContext {
  Counted() { ++inside_counted; }
  ~Counted() override { --inside_counted; }
};

/// An operator without a rule. It is composite when it calls others that do arithmetic; else its
/// FLOPs are unknown.
class Unruled : public at::ObserverContext {
 public:
  explicit Unruled(bool floating) : floating_(floating), outer_(innermost) { innermost = this; }
  ~Unruled() override {
    innermost = outer_;
    if (made_of_others_ || !floating_) return;
    note_arithmetic();
    counters::unknown_operators += 1;
  }
  Unruled(const Unruled&) = delete;
  Unruled& operator=(const Unruled&) = delete;

  /// Marks the open operators of this thread as composite: one that does arithmetic ran within
  /// them.
  static void note_arithmetic() {
    for (Unruled* open = innermost; open && !open->made_of_others_; open = open->outer_)
      open->made_of_others_ = true;
  }

 private:
  static thread_local Unruled* innermost;
  bool floating_, made_of_others_ = false;
  Unruled* outer_;
};
thread_local Unruled* Unruled::innermost = nullptr;

bool takes_floating(const c10::IValue& input) {
  if (input.isTensor()) return input.toTensor().defined() && input.toTensor().is_floating_point();
  if (!input.isTensorList()) return false;
  const auto tensors = input.toTensorVector();
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const at::Tensor& t) { return t.defined() && t.is_floating_point(); });
}

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& operation) {
  if (inside_counted > 0) return nullptr;
  std::string_view name = operation.name();
  constexpr std::string_view kPrefix = "aten::";
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  if (name.ends_with('_')) name.remove_suffix(1);
  const auto inputs = operation.inputs();
  if (const auto rule = rules().find(name); rule != rules().end()) {
    Unruled::note_arithmetic();
    counters::flops += rule->second.count(inputs, rule->second.factor);
    return std::make_unique<Counted>();
  }
  if (has_no_arithmetic(name)) return nullptr;
  return std::make_unique<Unruled>(std::any_of(inputs.begin(), inputs.end(), takes_floating));
}

}  // namespace

void count_operator_flops() {
  [[maybe_unused]] static const at::CallbackHandle handle = at::addGlobalCallback(
      at::RecordFunctionCallback(on_start).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

}  // namespace assay
