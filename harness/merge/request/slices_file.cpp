#include <map>

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/merge/expert_lists.h"
#include "harness/merge/request/requests.h"
#include "harness/merge/request/slices.h"

namespace assay {
namespace {

/// A slice as it is written, with its own instance of the method.
struct WrittenSlice {
  Slice slice;
  MethodConfiguration method;
};

class SlicesReader {
 public:
  /// `base` may be empty. Where the method needs none, it is one of the experts.
  SlicesReader(std::string method, const Json& parameters, const std::string& base, bool needed)
      : method_(std::move(method)), parameters_(parameters) {
    if (needed)
      base_ = base;
    else if (!base.empty())
      add_expert(base);
  }

  WrittenSlice read(JsonReader entry) {
    WrittenSlice written;
    for (const JsonReader& source : entry.at("sources").elements())
      add_source(source, written.slice);
    Json parameters = parameters_;
    const auto own = entry.find("parameters");
    if (own && !own->is_object()) own->fail("expected an object of parameters");
    if (own) parameters.update(own->json());
    entry.finish();
    written.method = MethodConfiguration::read(
        method_, JsonReader(parameters, own ? own->where() : entry.where()));
    const Needs needs = written.method.needs();
    if (needs.output != Output::kSameArchitecture)
      user_error("{}: {} gives another form of model ({}), which slices cannot be made of",
                 entry.where(), method_, output_name(needs.output));
    if (needs.calibration_inputs || needs.calibration_labels || needs.gradients ||
        needs.architecture)
      user_error("{}: {} looks at {}, and slices are no whole network", entry.where(), method_,
                 needs.architecture ? "the network's layers" : "data");
    if (const auto reason = unmet_need(needs, {.base = written.slice.base.has_value(),
                                               .experts = written.slice.experts.size()}))
      user_error("{}: {} {}", entry.where(), method_, *reason);
    if (const auto unfit = unfit_lists(written.method.parameters(), written.slice.experts.size()))
      user_error("{}: {}", entry.where(), *unfit);
    return written;
  }

  /// The models but the base, in the order in which they are first named.
  const std::vector<std::string>& experts() const { return experts_; }

 private:
  size_t add_expert(const std::string& model) {
    const auto [place, is_new] = places_.emplace(model, experts_.size());
    if (is_new) experts_.push_back(model);
    return place->second;
  }

  void add_source(JsonReader source, Slice& slice) {
    const std::string model = source.string("model");
    const JsonReader layers = source.at("layer_range");
    const std::vector<JsonReader> ends = layers.elements();
    if (ends.size() != 2)
      layers.fail("expected two numbers: the first layer, and the one after the last");
    LayerRange range{0, ends[0].as_integer(), ends[1].as_integer(), source.where()};
    source.finish();
    if (!base_.empty() && model == base_) {
      if (slice.base) source.fail(fmt::format("the base '{}' is twice in one slice", model));
      range.model = TensorView::kBase;
      slice.base = std::move(range);
      return;
    }
    range.model = add_expert(model);
    slice.experts.push_back(std::move(range));
  }

  std::string method_;
  const Json& parameters_;
  std::string base_;
  std::vector<std::string> experts_;
  std::map<std::string, size_t> places_;
};

}  // namespace

void set_slices(MergeRequest& request, const MethodConfiguration& method, const JsonReader& slices,
                const Json& parameters, const std::string& base, const fs::path& folder,
                ReconcileOptions options) {
  const bool with_base = method.needs().base && !base.empty();
  SlicesReader reader(request.title, parameters, base, with_base);
  std::vector<WrittenSlice> written;
  std::vector<Slice> plain;
  for (const JsonReader& entry : slices.elements()) {
    written.push_back(reader.read(entry));
    plain.push_back(written.back().slice);
  }
  if (plain.empty()) slices.fail("expected at least one slice");

  std::optional<ModelPath> base_path;
  if (!base.empty()) base_path = find_model(base, folder);
  std::vector<ModelPath> paths;
  if (with_base) paths.push_back(*base_path);
  for (const std::string& expert : reader.experts())
    paths.push_back(find_model(expert, folder, base_path ? &*base_path : nullptr));
  std::vector<std::shared_ptr<const Checkpoint>> opened = open_models(paths);
  const std::shared_ptr<const Checkpoint> like = opened.front();
  if (with_base) opened.erase(opened.begin());
  const std::shared_ptr<const Checkpoint> of_base = with_base ? like : nullptr;
  for (const auto& [slice, slice_method] : written) {
    std::vector<std::shared_ptr<const Checkpoint>> models{slice.base ? of_base : nullptr};
    for (const LayerRange& range : slice.experts) models.push_back(opened[range.model]);
    check_origins(request, slice_method.needs(), models);
  }
  options.partial = true;
  set_models(request, of_base, opened, like, options);
  note_paths(request, paths);
  if (!request.problems.empty()) return;

  SlicedPlan sliced = plan_slices(plain, request.inputs, slice_configs(of_base, opened));
  const std::set<std::string> merged = merged_by(sliced.plan, request.inputs);
  std::vector<std::set<std::string>> names(written.size());
  for (size_t i = 0; i < sliced.places.size(); ++i)
    if (const std::string& name = sliced.plan.tensors[i].name; merged.contains(name))
      names[sliced.places[i].slice].insert(name);
  set_plan(request, std::move(sliced.plan));
  if (!request.problems.empty()) return;
  for (size_t i = 0; i < written.size(); ++i)
    for (MethodGroup& group :
         written[i].method.groups({names[i].begin(), names[i].end()}, request.inputs.blocks)) {
      if (group.method->granularity() == Granularity::kModel)
        slices.fail(fmt::format("{} merges whole models, not slices of them", request.title));
      request.groups.push_back(std::move(group));
    }
}

}  // namespace assay
