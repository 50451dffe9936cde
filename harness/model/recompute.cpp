#include "harness/model/recompute.h"

#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace assay {
namespace {

thread_local bool recompute_blocks = false;

/// Autocast as it was at the construction of another one, without its cache of converted weights: a
/// conversion without gradients must not be used by a pass with them.
class SavedAutocast {
 public:
  void apply() const {
    at::autocast::set_autocast_enabled(at::kCPU, enabled_);
    at::autocast::set_autocast_dtype(at::kCPU, dtype_);
    at::autocast::set_autocast_cache_enabled(cached_);
  }
  SavedAutocast without_cache() const {
    SavedAutocast copy = *this;
    copy.cached_ = false;
    return copy;
  }

 private:
  bool enabled_ = at::autocast::is_autocast_enabled(at::kCPU);
  at::ScalarType dtype_ = at::autocast::get_autocast_dtype(at::kCPU);
  bool cached_ = at::autocast::is_autocast_cache_enabled();
};

class AutocastScope {
 public:
  explicit AutocastScope(const SavedAutocast& wanted) { wanted.apply(); }
  ~AutocastScope() { before_.apply(); }
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  SavedAutocast before_;
};

using Block = std::function<at::Tensor(const at::Tensor&)>;

struct RecomputeNode final : torch::autograd::Node {
  RecomputeNode(Block of, at::Tensor input) : block(std::move(of)), x(std::move(input)) {}

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    const at::Tensor input = x.detach().requires_grad_(true);
    {
      const c10::AutoGradMode with_gradients(true);
      const AutocastScope scope(autocast);
      const at::Tensor y = block(input);
      torch::autograd::backward({y}, {gradients.at(0)});
    }
    return {input.grad()};
  }
  void release_variables() override {
    x.reset();
    block = nullptr;
  }

  Block block;
  at::Tensor x;
  SavedAutocast autocast = SavedAutocast().without_cache();
};

}  // namespace

RecomputeBlocks::RecomputeBlocks(bool enabled) : before_(recompute_blocks) {
  recompute_blocks = enabled;
}

RecomputeBlocks::~RecomputeBlocks() { recompute_blocks = before_; }

bool RecomputeBlocks::active() { return recompute_blocks; }

at::Tensor recomputed(Block block, const at::Tensor& x) {
  at::Tensor y;
  {
    const c10::AutoGradMode no_gradients(false);
    const AutocastScope scope(SavedAutocast().without_cache());
    y = block(x);
  }
  const std::shared_ptr<RecomputeNode> node(new RecomputeNode(std::move(block), x.detach()),
                                            torch::autograd::deleteNode);
  node->set_next_edges(torch::autograd::collect_next_edges(x));
  torch::autograd::set_history(y, node);
  return y;
}

}  // namespace assay
