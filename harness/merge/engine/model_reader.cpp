#include "harness/merge/engine/model_reader.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>

#include "harness/cost/meter.h"
#include "harness/kernels/dtype/convert.h"
#include "harness/merge/engine/concurrent.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

// Shares of the memory that a merge may take. Tensors whose inputs fit in a quarter stay in memory
// from the first pass over them to the last; another quarter bounds what is read ahead.
constexpr int64_t kKeepShare = 4, kReadAheadShare = 4;

// At most this share of the models may be unfinished by some threads when others have ended.
constexpr int64_t kLastShare = 32;
// Steps on whole tensors often cannot be divided among threads: to wait for the last one is less
// than to have one thread work on each. Of the inputs they hold copies, in float64 for instance.
constexpr int64_t kLastWholeShare = 8, kWholeCopies = 8;

int64_t input_bytes(const Sources& sources, const std::string& name) {
  int64_t bytes = 0;
  for (const auto& source : sources) bytes += source->find(name)->bytes();
  return bytes;
}

Sources read_models(const MergeInputs& inputs, bool with_base) {
  Sources models = inputs.experts;
  if (with_base) models.insert(models.begin(), inputs.base);
  return models;
}

/// Part of cache keys: all that values depend on of a model. The device, since kinds of devices may
/// sum in different orders.
std::string content_key(const TensorSource& source, const MergeInputs& inputs) {
  return fmt::format("{} {} {}", source.content_hash(),
                     at::DeviceTypeName(inputs.device.type(), /*lower_case=*/true),
                     inputs.load_dtype ? dtype_name(*inputs.load_dtype) : "");
}

CacheSession make_session(const MergeInputs& inputs, bool with_base) {
  if (!inputs.cache) return {};
  std::vector<std::string> experts;
  for (const auto& expert : inputs.experts) experts.push_back(content_key(*expert, inputs));
  const auto measure = [device = inputs.device](const std::function<void()>& work) {
    Meter meter(device);
    work();
    return meter.stop();
  };
  return {inputs.cache, with_base ? content_key(*inputs.base, inputs) : "", std::move(experts),
          measure};
}

}  // namespace

ModelReader::ModelReader(const MergeInputs& inputs, bool with_base,
                         const std::vector<std::string>& order)
    : inputs_(inputs),
      read_(read_models(inputs, with_base)),
      with_base_(with_base),
      cache_(make_session(inputs, with_base)),
      check_(read_, inputs.hash) {
  for (const auto& source : read_)
    for (const TensorInfo& info : source->tensors()) all_bytes_ += info.bytes();
  if (inputs.memory_bytes > 0)
    read_ahead_ = std::make_unique<ReadAhead>(read_, order, inputs.memory_bytes / kReadAheadShare);
}

at::Tensor ModelReader::to_device(const at::Tensor& tensor) const {
  const at::Tensor there = tensor.to(inputs_.device);
  return inputs_.load_dtype ? convert(there, *inputs_.load_dtype) : there;
}

void ModelReader::begin_caching(const std::vector<std::string>& names) {
  MergeCache* const cache = inputs_.cache;
  if (!cache) return;
  for (const auto& source : read_) {
    const std::string key = "finite " + source->content_hash();
    if (cache->find(key)) continue;
    for (const std::string& name : names)
      for (int64_t first = 0, count = 0, all = source->find(name)->numel(); first < all;
           first += count) {
        count = std::min(kPartElements, all - first);
        if (count_nonfinite(source->read_part(name, first, count)) > 0)
          refuse_nonfinite(*source, name);
      }
    cache->insert(key, {}, 0);
  }
  check_.known_finite(names);
  if (!with_base_) return;  // cached parts are of task vectors
  for (const std::string& name : names)
    for (int64_t first = 0, all = read_.front()->find(name)->numel(); first < all;
         first += kPartElements)
      cache->part(name, first, std::min(kPartElements, all - first), inputs_.device);
}

bool ModelReader::stays_mapped(const std::string& name) const {
  return inputs_.memory_bytes == 0 || input_bytes(read_, name) <= inputs_.memory_bytes / kKeepShare;
}

bool ModelReader::small(const std::string& name, bool whole) const {
  if (!inputs_.device.is_cpu()) return false;
  const int64_t bytes = input_bytes(read_, name), threads = at::get_num_threads();
  if (inputs_.memory_bytes > 0)
    return bytes * (whole ? kWholeCopies : 1) <= inputs_.memory_bytes / kKeepShare / threads;
  return bytes <= all_bytes_ / (whole ? kLastWholeShare : kLastShare) / threads;
}

void ModelReader::for_each(const std::vector<std::string>& names,
                           const std::function<bool(size_t index)>& concurrent,
                           const std::function<void(size_t index)>& work) const {
  std::vector<size_t> order(names.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (inputs_.memory_bytes == 0)
    std::stable_partition(order.begin(), order.end(), std::not_fn(concurrent));
  run_concurrently(
      order.size(), [&](size_t i) { return concurrent(order[i]); },
      [&](size_t i) { work(order[i]); });
}

void ModelReader::for_each_part(const TensorJob& head, const TensorParts::Body& body) {
  const std::string& name = head.name;
  const bool begun = hold(name);
  const int64_t elements = read_.front()->find(name)->numel();
  const bool first_pass = !check_.done(name);
  const bool keep = stays_mapped(name);
  // A small tensor is one step of reading ahead: several threads may be at different ones.
  const bool one_step = read_ahead_ && small(name);
  const InputCheck::Hashers hashers = check_.begin();
  for (int64_t offset = 0; offset < elements; offset += kPartElements) {
    const int64_t count = std::min(kPartElements, elements - offset);
    if (read_ahead_ && (!one_step || (offset == 0 && begun))) read_ahead_->reached(name, offset);
    std::vector<at::Tensor> parts;
    for (const auto& source : read_) parts.push_back(source->read_part(name, offset, count));
    if (first_pass) check_.inspect(name, parts, hashers);
    for (at::Tensor& part : parts) part = to_device(part);
    TensorJob job = head;
    job.offset = offset;
    set(job, parts);
    body(job);
    if (!keep)
      for (const auto& source : read_) source->release(name, offset, count);
  }
  if (first_pass) check_.finish(name, hashers);
}

void ModelReader::set(TensorJob& job, const std::vector<at::Tensor>& tensors) const {
  if (with_base_) job.base = tensors.front();
  job.experts.assign(tensors.begin() + with_base_, tensors.end());
}

at::ScalarType ModelReader::dtype(const std::string& name) const {
  return inputs_.load_dtype.value_or(read_.front()->find(name)->dtype);
}

TensorJob ModelReader::whole(TensorJob job) {
  hold(job.name);
  std::vector<at::Tensor> tensors;
  for (const auto& source : read_) tensors.push_back(source->read(job.name));
  if (!check_.done(job.name)) {
    const InputCheck::Hashers hashers = check_.begin();
    check_.inspect(job.name, tensors, hashers);
    check_.finish(job.name, hashers);
  }
  for (at::Tensor& tensor : tensors) tensor = to_device(tensor);
  set(job, tensors);
  return job;
}

at::Tensor ModelReader::copied_part(const std::string& name, int64_t first, int64_t count) {
  return reference_source(inputs_).read_part(name, first, count).to(inputs_.device);
}

bool ModelReader::hold(const std::string& name) {
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

void ModelReader::release() { hold({}); }

}  // namespace assay
