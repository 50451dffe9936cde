#include "harness/merge/engine/reader.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <numeric>

#include "harness/core/error.h"
#include "harness/core/thread_pool.h"
#include "harness/cost/meter.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/kernels/task_vector/delta_merge.h"
#include "harness/merge/engine/concurrent.h"
#include "harness/merge/engine/method_errors.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

// Shares of the memory that a merge may take. Tensors whose inputs fit in a quarter stay in memory
// from the first pass over them to the last; another quarter bounds what is read ahead.
constexpr int64_t kKeepShare = 4, kAheadShare = 4;

// Of the models, this share or less may be what some threads are still at when others have ended.
constexpr int64_t kLastShare = 32;

constexpr int64_t kSlice = 1 << 17;  // elements: what is looked at twice in a row

int64_t input_bytes(const std::vector<std::shared_ptr<const TensorSource>>& sources,
                    const std::string& name) {
  int64_t bytes = 0;
  for (const auto& source : sources) bytes += source->find(name)->bytes();
  return bytes;
}

/// What a method sees of a model depends on nothing else. Sums may be taken in another order on
/// another kind of device.
std::string content_seen(const TensorSource& source, const MergeInputs& inputs) {
  return fmt::format("{} {} {}", source.content_hash(),
                     at::DeviceTypeName(inputs.device.type(), /*lower_case=*/true),
                     inputs.load_dtype ? dtype_name(*inputs.load_dtype) : "");
}

/// For a tensor that holds a value that is not finite.
[[noreturn]] void refuse(const TensorSource& source, const std::string& name) {
  const at::Tensor whole = source.read(name);
  const int64_t count = count_nonfinite(whole);
  data_error("{}: tensor '{}' holds {} NaN or infinite value{} among {}", source.label(), name,
             count, count == 1 ? "" : "s", whole.numel());
}

Sharing make_sharing(const MergeInputs& inputs, bool with_base) {
  if (!inputs.shared) return {};
  std::vector<std::string> experts;
  for (const auto& expert : inputs.experts) experts.push_back(content_seen(*expert, inputs));
  const auto measure = [device = inputs.device](const std::function<void()>& work) {
    Meter meter(device);
    work();
    return meter.stop();
  };
  return {inputs.shared, with_base ? content_seen(*inputs.base, inputs) : "", std::move(experts),
          measure};
}

}  // namespace

Models::Models(const MergeInputs& inputs, bool with_base, const std::vector<std::string>& order)
    : inputs_(inputs),
      read_(inputs.experts),
      with_base_(with_base),
      sharing_(make_sharing(inputs, with_base)) {
  if (with_base) read_.insert(read_.begin(), inputs.base);
  for (const auto& source : read_)
    for (const TensorInfo& info : source->tensors()) all_bytes_ += info.bytes();
  byte_hashes_.resize(read_.size());
  if (inputs.memory_bytes > 0)
    ahead_ = std::make_unique<ReadAhead>(read_, order, inputs.memory_bytes / kAheadShare);
}

at::Tensor Models::to_device(const at::Tensor& tensor) const {
  const at::Tensor there = tensor.to(inputs_.device);
  return inputs_.load_dtype ? convert(there, *inputs_.load_dtype) : there;
}

std::vector<std::unique_ptr<Hasher>> Models::hashers() const {
  std::vector<std::unique_ptr<Hasher>> made(read_.size());
  if (inputs_.hash)
    for (auto& hasher : made) hasher = std::make_unique<Hasher>();
  return made;
}

// On as many threads as there are models: a hash goes through its bytes in order.
void Models::inspect(const std::string& name, const std::vector<at::Tensor>& parts,
                     std::vector<std::unique_ptr<Hasher>>& hashers) const {
  std::vector<int64_t> bad(read_.size());
  std::atomic<size_t> next{0};
  ThreadPool::shared().run(std::min<int>(at::get_num_threads(), read_.size()), [&] {
    for (size_t i = next++; i < read_.size(); i = next++) {
      if (!hashers[i]) {
        bad[i] = count_nonfinite(parts[i]);
        continue;
      }
      // In slices that stay in a processor's cache from the one look to the other.
      const at::Tensor part = parts[i].cpu().flatten();
      for (int64_t first = 0; first < part.numel(); first += kSlice) {
        const at::Tensor slice = part.narrow(0, first, std::min(kSlice, part.numel() - first));
        hashers[i]->bytes(slice.const_data_ptr(), slice.nbytes());
        bad[i] += count_nonfinite(slice);
      }
    }
  });
  for (size_t i = 0; i < read_.size(); ++i)
    if (bad[i] > 0) refuse(*read_[i], name);
}

bool Models::inspected(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return inspected_.contains(name);
}

void Models::finish_first_pass(const std::string& name,
                               const std::vector<std::unique_ptr<Hasher>>& hashers) {
  const std::lock_guard lock(mutex_);
  inspected_.insert(name);
  for (size_t i = 0; i < read_.size(); ++i)
    if (hashers[i]) byte_hashes_[i][name] = hashers[i]->hex();
}

void Models::begin_sharing(const std::vector<std::string>& names) {
  if (!inputs_.shared) return;
  for (const auto& source : read_) {
    const std::string key = "finite " + source->content_hash();
    if (inputs_.shared->find(key)) continue;
    for (const std::string& name : names)
      for (int64_t first = 0, count = 0, all = source->find(name)->numel(); first < all;
           first += count) {
        count = std::min(kPartElements, all - first);
        if (count_nonfinite(source->read_part(name, first, count)) > 0) refuse(*source, name);
      }
    inputs_.shared->insert(key, {}, 0);
  }
  if (!inputs_.hash) inspected_.insert(names.begin(), names.end());
  if (!with_base_) return;  // what is shared are parts of task vectors
  for (const std::string& name : names)
    for (int64_t first = 0, all = read_.front()->find(name)->numel(); first < all;
         first += kPartElements)
      inputs_.shared->part(name, first, std::min(kPartElements, all - first), inputs_.device);
}

bool Models::stays_mapped(const std::string& name) const {
  return inputs_.memory_bytes == 0 || input_bytes(read_, name) <= inputs_.memory_bytes / kKeepShare;
}

bool Models::small(const std::string& name) const {
  if (!inputs_.device.is_cpu()) return false;
  const int64_t bound =
      inputs_.memory_bytes > 0 ? inputs_.memory_bytes / kKeepShare : all_bytes_ / kLastShare;
  return input_bytes(read_, name) <= bound / at::get_num_threads();
}

void Models::for_each(const std::vector<std::string>& names,
                      const std::function<bool(size_t place)>& together,
                      const std::function<void(size_t place)>& work) const {
  std::vector<size_t> places(names.size());
  std::iota(places.begin(), places.end(), size_t{0});
  if (inputs_.memory_bytes == 0)
    std::stable_partition(places.begin(), places.end(), std::not_fn(together));
  side_by_side(
      places.size(), [&](size_t i) { return together(places[i]); },
      [&](size_t i) { work(places[i]); });
}

void Models::for_each_part(const std::string& name, const TensorJob& head,
                           const TensorParts::Body& body) {
  const bool begun = hold(name);
  const int64_t elements = read_.front()->find(name)->numel();
  const bool first_pass = !inspected(name);
  const bool keep = stays_mapped(name);
  // Small tensors, of which several threads may be at different ones, count as a step each.
  const bool one_step = ahead_ && small(name);
  std::vector<std::unique_ptr<Hasher>> sums = hashers();
  for (int64_t offset = 0; offset < elements; offset += kPartElements) {
    const int64_t count = std::min(kPartElements, elements - offset);
    if (ahead_ && (!one_step || (offset == 0 && begun))) ahead_->reached(name, offset);
    std::vector<at::Tensor> parts;
    for (const auto& source : read_) parts.push_back(source->read_part(name, offset, count));
    if (first_pass) inspect(name, parts, sums);
    for (at::Tensor& part : parts) part = to_device(part);
    TensorJob job = head;
    job.offset = offset;
    set(job, parts);
    body(job);
    if (!keep)
      for (const auto& source : read_) source->release(name, offset, count);
  }
  if (first_pass) finish_first_pass(name, sums);
}

void Models::set(TensorJob& job, const std::vector<at::Tensor>& tensors) const {
  if (with_base_) job.base = tensors.front();
  job.experts.assign(tensors.begin() + with_base_, tensors.end());
}

TensorJob Models::glance(const std::string& name, TensorJob job, int64_t offset,
                         int64_t count) const {
  std::vector<at::Tensor> some;
  for (const auto& source : read_) {
    const at::Tensor read = source->read_part(name, offset, count).cpu();
    some.push_back(inputs_.load_dtype ? convert(read, *inputs_.load_dtype) : read);
    if (stays_mapped(name)) continue;
    // A touch may map 2 MiB of a file: samples all over a tensor would map all of it.
    some.back() = some.back().clone();
    source->release(name, 0, source->find(name)->numel());
  }
  job.offset = offset;
  set(job, some);
  return job;
}

TensorJob Models::whole(const std::string& name, TensorJob job) {
  hold(name);
  std::vector<at::Tensor> tensors;
  for (const auto& source : read_) tensors.push_back(source->read(name));
  if (!inspected(name)) {
    std::vector<std::unique_ptr<Hasher>> sums = hashers();
    inspect(name, tensors, sums);
    finish_first_pass(name, sums);
  }
  for (at::Tensor& tensor : tensors) tensor = to_device(tensor);
  set(job, tensors);
  return job;
}

at::Tensor Models::copied_part(const std::string& name, int64_t first, int64_t count) {
  return reference_source(inputs_).read_part(name, first, count).to(inputs_.device);
}

bool Models::hold(const std::string& name) {
  if (inputs_.memory_bytes == 0) return false;
  std::string before = name;
  {
    const std::lock_guard lock(mutex_);
    before.swap(held_[std::this_thread::get_id()]);
  }
  if (before == name) return false;
  if (!before.empty())
    for (const auto& source : read_) source->release(before, 0, source->find(before)->numel());
  return true;
}

void Models::let_go() { hold({}); }

Json Models::note(const std::string& name) const {
  if (!inputs_.hash) return nullptr;
  const std::lock_guard lock(mutex_);
  Json note = Json::array();
  for (const auto& hashes : byte_hashes_) note.push_back(hashes.at(name));
  return note;
}

void Models::recall(const std::string& name, const Json& note) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < byte_hashes_.size() && i < note.size(); ++i)
    byte_hashes_[i][name] = note[i].get<std::string>();
}

std::vector<std::optional<std::string>> Models::content_hashes() const {
  std::vector<std::optional<std::string>> out;
  for (size_t i = 0; i < read_.size(); ++i) {
    std::map<std::string, std::string> hashes = byte_hashes_[i];
    for (const TensorInfo& info : read_[i]->tensors())
      // Copied tensors come from one model alone and are small.
      if (tensor_role(*read_[i], info) == TensorRole::kCopied) {
        const at::Tensor tensor = read_[i]->read(info.name).cpu().contiguous();
        hashes[info.name] = Hasher().bytes(tensor.const_data_ptr(), tensor.nbytes()).hex();
      }
    const bool all = hashes.size() == read_[i]->tensors().size();
    out.push_back(all ? std::optional(content_hash(read_[i]->tensors(), hashes)) : std::nullopt);
  }
  return out;
}

TensorJob GroupJob::head(const std::string& name) const {
  TensorJob job;
  job.name = name;
  job.seed_key = Hasher()
                     .number(models_.inputs().seed)
                     .text(info_.name)
                     .number(static_cast<uint64_t>(info_.version))
                     .text(name)
                     .low64();
  job.diagnostics = &diagnostics_;
  job.sharing = &models_.sharing();
  return job;
}

void GroupJob::for_each(const std::function<void(size_t place)>& body) const {
  models_.for_each(
      names_, [&](size_t place) { return models_.small(names_[place]); },
      [&](size_t place) {
        body(place);
        models_.let_go();
      });
}

TensorParts GroupJob::parts(const std::string& name) const {
  const TensorJob job = head(name);
  return {job,
          num_experts(),
          reference_source(models_.inputs()).find(name)->numel(),
          working_memory(models_.inputs()),
          [this, job](const TensorParts::Body& body) {
            models_.for_each_part(job.name, job, [&](const TensorJob& part) {
              const auto where = [&] {
                return fmt::format(" in tensor '{}', elements {} to {}", part.name, part.offset,
                                   part.offset + part.experts.front().numel() - 1);
              };
              in_method(info_.name, where, [&] { body(part); });
            });
          },
          [this, job](int64_t offset, int64_t count) {
            return models_.glance(job.name, job, offset, count);
          },
          models_.sharing()};
}

TensorJob GroupJob::tensor(const std::string& name) const {
  return models_.whole(name, head(name));
}

}  // namespace assay
