#include "harness/merge/request/slices.h"

#include <algorithm>
#include <map>

#include "harness/checkpoint/heads.h"
#include "harness/checkpoint/layer_stack.h"
#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

/// Whether a tensor outside of layers comes before them: embeddings and their norms.
bool is_before_layers(const std::string& name) {
  return !is_head(name) && (is_embedding(name) || name.find("emb") != std::string::npos ||
                            name.find("wpe.") != std::string::npos);
}

class SlicePlanner {
 public:
  SlicePlanner(const std::vector<Slice>& slices, const MergeInputs& inputs,
               const SliceConfigs& configs)
      : slices_(slices), inputs_(inputs), configs_(configs) {}

  SlicedPlan run() {
    for (const Slice& slice : slices_)
      for (const LayerRange* range : ranges(slice)) check(*range, length(slice));
    std::vector<LayerOrigin> origins;
    for (size_t i = 0; i < slices_.size(); ++i) {
      add_outside(i, i == 0, i + 1 == slices_.size());
      const int64_t layers = length(slices_[i]);
      for (int64_t offset = 0; offset < layers; ++offset) {
        const double depth =
            layers == 1 ? 1 : static_cast<double>(offset) / static_cast<double>(layers - 1);
        add_layer(i, offset, std::ssize(origins), depth);
        const LayerRange& first = *ranges(slices_[i]).front();
        origins.push_back({&config_of(first), first.first + offset});
      }
    }
    out_.plan.config = inputs_.config;
    set_layers(out_.plan.config, origins);
    return std::move(out_);
  }

 private:
  /// The base's, then the experts'. The first one says what tensors there are.
  static std::vector<const LayerRange*> ranges(const Slice& slice) {
    std::vector<const LayerRange*> all;
    if (slice.base) all.push_back(&*slice.base);
    for (const LayerRange& expert : slice.experts) all.push_back(&expert);
    return all;
  }
  static int64_t length(const Slice& slice) {
    const LayerRange& first = *ranges(slice).front();
    return first.last - first.first;
  }
  const TensorSource& model(const LayerRange& range) const {
    return range.model == TensorView::kBase ? *inputs_.base : *inputs_.experts.at(range.model);
  }
  const Json& config_of(const LayerRange& range) const {
    return range.model == TensorView::kBase ? configs_.base : configs_.experts.at(range.model);
  }
  const LayerStack& stack(const LayerRange& range) {
    const auto known = stacks_.find(range.model);
    if (known != stacks_.end()) return known->second;
    return stacks_.emplace(range.model, LayerStack(model(range), config_of(range))).first->second;
  }

  void check(const LayerRange& range, int64_t length) {
    const auto fail = [&](const std::string& what) {
      user_error("{}: the layer range [{}, {}] {}", range.where, range.first, range.last, what);
    };
    if (range.first < 0 || range.first >= range.last)
      fail("holds no layer: it goes from its first number up to and without its second");
    const int64_t size = stack(range).size();
    if (range.last > size)
      fail(fmt::format("goes beyond the model: {} has {} layers", model(range).label(), size));
    if (range.last - range.first != length)
      fail(fmt::format("holds {} layers, and the slice's first one {}", range.last - range.first,
                       length));
  }

  /// `name_in`: a tensor's name in the model of a range.
  template <typename NameIn>
  void add(std::string name, const TensorInfo& info, const SlicedPlan::Place& place,
           const NameIn& name_in) {
    const Slice& slice = slices_[place.slice];
    const auto view = [&](const LayerRange& range) {
      return TensorView{.model = range.model, .tensor = name_in(range)};
    };
    OutputTensor tensor{.name = std::move(name), .experts = {}};
    const LayerRange& first = *ranges(slice).front();
    if (tensor_role(model(first), info) == TensorRole::kCopied) {
      tensor.experts = {view(first)};  // others may lack it: it may be a buffer
    } else {
      if (slice.base) tensor.base = view(*slice.base);
      for (const LayerRange& expert : slice.experts) tensor.experts.push_back(view(expert));
    }
    out_.plan.tensors.push_back(std::move(tensor));
    out_.places.push_back(place);
  }

  void add_outside(size_t slice, bool before, bool after) {
    for (const TensorInfo* info : stack(*ranges(slices_[slice]).front()).outside())
      if (is_before_layers(info->name) ? before : after)
        add(info->name, *info, {slice, 0}, [&](const LayerRange&) { return info->name; });
  }

  void add_layer(size_t slice, int64_t offset, int64_t layer, double depth) {
    const LayerRange& first = *ranges(slices_[slice]).front();
    const LayerStack& names = stack(first);
    check_same_tensors(slices_[slice], offset);
    for (const TensorInfo* info : names.layer(first.first + offset))
      add(names.renumbered(info->name, layer), *info, {slice, depth}, [&](const LayerRange& range) {
        return names.renumbered(info->name, range.first + offset);
      });
  }

  void check_same_tensors(const Slice& slice, int64_t offset) {
    const LayerRange& first = *ranges(slice).front();
    for (const LayerRange* range : ranges(slice))
      for (const TensorInfo* info : stack(*range).layer(range->first + offset)) {
        const std::string name = stack(first).renumbered(info->name, first.first + offset);
        if (!is_buffer(*info) && !model(first).find(name))
          data_error("{}: layer {} of {} has a tensor '{}', which layer {} of {} does not have",
                     range->where, range->first + offset, model(*range).label(), info->name,
                     first.first + offset, model(first).label());
      }
  }

  const std::vector<Slice>& slices_;
  const MergeInputs& inputs_;
  const SliceConfigs& configs_;
  std::map<size_t, LayerStack> stacks_;
  SlicedPlan out_;
};

}  // namespace

SlicedPlan plan_slices(const std::vector<Slice>& slices, const MergeInputs& inputs,
                       const SliceConfigs& configs) {
  return SlicePlanner(slices, inputs, configs).run();
}

SliceConfigs slice_configs(const std::shared_ptr<const Checkpoint>& base,
                           const std::vector<std::shared_ptr<const Checkpoint>>& experts) {
  SliceConfigs configs{base ? base->config() : Json(), {}};
  for (const auto& expert : experts) configs.experts.push_back(expert->config());
  return configs;
}

std::set<std::string> merged_by(const OutputPlan& plan, const MergeInputs& inputs) {
  std::set<std::string> names;
  for (const MergeSection& section : merge_sections({}, inputs, &plan))
    for (std::string& name : merged_names(section.inputs)) names.insert(std::move(name));
  return names;
}

}  // namespace assay
