#include "methods/dense/magnitude_drop.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {
namespace {

/// True with the given probabilities. Draws are those of a drop that is alike for all entries.
at::Tensor draw(const at::Tensor& probabilities, uint64_t key) {
  const at::Tensor values = probabilities.to(at::kCPU, at::kFloat).contiguous();
  at::Tensor kept = at::empty(values.sizes(), at::kBool);
  const float* from = values.const_data_ptr<float>();
  bool* to = kept.mutable_data_ptr<bool>();
  share_blocks(values.numel(), [&](BlockQueue& queue) {
    for (Block block; queue.next(block);)
      for (int64_t i = block.begin; i < block.end; ++i)
        to[i] = !drops(key, i, drop_level(1 - from[i]));
  });
  return kept.to(probabilities.device());
}

}  // namespace

std::optional<std::string> MagnitudeDrop::conflict() const {
  const size_t count = std::max({drops.size(), windows.size(), size_t{1}});
  for (size_t i = 0; i < count; ++i) {
    // Lists of other lengths are refused when the experts are known.
    if ((!drops.empty() && i >= drops.size()) || (!windows.empty() && i >= windows.size())) break;
    const double mean = drop_of(i), half = window_of(i) / 2;
    if (mean > 0 && mean < 1 && (mean - half < 0 || mean + half > 1))
      return fmt::format(
          "a drop of {} in a window of {} gives probabilities from {:g} to {:g}: expected 'drop' - "
          "'window' / 2 of at least 0 and 'drop' + 'window' / 2 of at most 1",
          mean, window_of(i), mean - half, mean + half);
  }
  return std::nullopt;
}

void MagnitudeDrop::check(const ModelJob& job) const {
  check_list("drops", drops, job);
  check_list("windows", windows, job);
}

at::Tensor MagnitudeDrop::keep_probabilities(const at::Tensor& delta, double drop, double window) {
  const at::Tensor rows = as_rows(delta.abs().to(at::kFloat));
  const int64_t columns = rows.size(1);
  if (columns < 2) return at::full(delta.sizes(), 1 - drop, rows.options());
  const at::Tensor order =
      std::get<1>(rows.sort(std::optional<bool>(true), 1, /*descending=*/false));
  const at::Tensor steps = at::arange(columns, rows.options()) / static_cast<double>(columns - 1);
  const at::Tensor by_rank = (1 - drop - window / 2) + steps * window;
  return at::empty_like(rows).scatter_(1, order, by_rank.expand_as(rows)).reshape(delta.sizes());
}

void MagnitudeDrop::apply(const TensorJob& job, std::vector<at::Tensor>& deltas) const {
  for (size_t i = 0; i < deltas.size(); ++i) {
    const double mean = drop_of(i);
    if (mean == 0 || deltas[i].numel() == 0) continue;
    if (mean == 1) {
      deltas[i] = at::zeros_like(deltas[i]);
      continue;
    }
    const at::Tensor probabilities = keep_probabilities(deltas[i], mean, window_of(i));
    at::Tensor left = deltas[i] * draw(probabilities, drop_key(job, i));
    if (rescale == RandomDrop::Rescale::kInvKeep)
      left = at::where(left == 0, left, left / probabilities).to(left.scalar_type());
    if (rescale == RandomDrop::Rescale::kL1Match) left = with_l1_norm(left, deltas[i]);
    deltas[i] = left;
  }
}

}  // namespace assay
