#include "harness/merge/engine/input_check.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/core/thread_pool.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

constexpr int64_t kSlice = 1 << 17;  // elements: what is read twice in a row

}  // namespace

void refuse_nonfinite(const TensorSource& source, const std::string& name) {
  const at::Tensor whole = source.read(name);
  const int64_t count = count_nonfinite(whole);
  data_error("{}: tensor '{}' holds {} NaN or infinite value{} among {}", source.label(), name,
             count, count == 1 ? "" : "s", whole.numel());
}

InputCheck::InputCheck(Sources models, bool hash)
    : models_(std::move(models)), hash_(hash), byte_hashes_(models_.size()) {}

bool InputCheck::done(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return done_.contains(name);
}

InputCheck::Hashers InputCheck::begin() const {
  Hashers made(models_.size());
  if (hash_)
    for (auto& hasher : made) hasher = std::make_unique<Hasher>();
  return made;
}

// On as many threads as there are models: a hash goes through its bytes in order.
void InputCheck::inspect(const std::string& name, const std::vector<at::Tensor>& parts,
                         const Hashers& hashers) const {
  std::vector<int64_t> bad(models_.size());
  const auto count = std::ssize(models_);
  ThreadPool::shared().run(at::get_num_threads(), count, [&](IndexQueue& indices) {
    while (const auto index = indices.next()) {
      const auto i = static_cast<size_t>(*index);
      if (!hashers[i]) {
        bad[i] = count_nonfinite(parts[i]);
        continue;
      }
      // In slices that stay in a processor's cache from one reading to the other.
      const at::Tensor part = parts[i].cpu().flatten();
      for (int64_t first = 0; first < part.numel(); first += kSlice) {
        const at::Tensor slice = part.narrow(0, first, std::min(kSlice, part.numel() - first));
        hashers[i]->bytes(slice.const_data_ptr(), slice.nbytes());
        bad[i] += count_nonfinite(slice);
      }
    }
  });
  for (size_t i = 0; i < models_.size(); ++i)
    if (bad[i] > 0) refuse_nonfinite(*models_[i], name);
}

void InputCheck::finish(const std::string& name, const Hashers& hashers) {
  const std::lock_guard lock(mutex_);
  done_.insert(name);
  for (size_t i = 0; i < models_.size(); ++i)
    if (hashers[i]) byte_hashes_[i][name] = hashers[i]->hex();
}

void InputCheck::known_finite(const std::vector<std::string>& names) {
  const std::lock_guard lock(mutex_);
  if (!hash_) done_.insert(names.begin(), names.end());
}

Json InputCheck::hashes(const std::string& name) const {
  if (!hash_) return nullptr;
  const std::lock_guard lock(mutex_);
  Json hashes = Json::array();
  for (const auto& of_model : byte_hashes_) hashes.push_back(of_model.at(name));
  return hashes;
}

void InputCheck::restore(const std::string& name, const Json& hashes) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < byte_hashes_.size() && i < hashes.size(); ++i)
    byte_hashes_[i][name] = hashes[i].get<std::string>();
}

std::vector<std::optional<std::string>> InputCheck::content_hashes() const {
  std::vector<std::optional<std::string>> out;
  for (size_t i = 0; i < models_.size(); ++i) {
    std::map<std::string, std::string> hashes = byte_hashes_[i];
    for (const TensorInfo& info : models_[i]->tensors())
      // Copied tensors come from one model alone and are small.
      if (tensor_role(*models_[i], info) == TensorRole::kCopied) {
        const at::Tensor tensor = models_[i]->read(info.name).cpu().contiguous();
        hashes[info.name] = Hasher().bytes(tensor.const_data_ptr(), tensor.nbytes()).hex();
      }
    const bool all = hashes.size() == models_[i]->tensors().size();
    out.push_back(all ? std::optional(content_hash(models_[i]->tensors(), hashes)) : std::nullopt);
  }
  return out;
}

}  // namespace assay
