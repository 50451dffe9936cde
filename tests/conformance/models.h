/// A small model that has what merging meets: large and tiny tensors, a scalar, an empty tensor,
/// ties, a tensor no expert changed, one that is all zero, narrow dtypes and integers.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <map>

#include "tests/merge/models.h"
#include "tests/methods/fake_evidence.h"
#include "tests/methods/mixtures.h"

namespace assay::testing {

/// Made once for each key and shared: do not write to its tensors.
inline const StateDict& mixed_model(uint64_t key) {
  static std::map<uint64_t, StateDict> made;
  StateDict& model = made[key];
  if (!model.empty()) return model;
  const auto add = [&](const std::string& name, at::IntArrayRef shape, uint64_t number) {
    model[name] = noise(shape, 1000 + number) + .3f * noise(shape, key * 100 + number);
  };
  add("conv.weight", {40, 3, 21, 21}, 1);  // 52920 elements: several blocks
  add("head.bias", {7}, 2);
  add("gate", {}, 3);
  add("head.weight", {7, 33}, 4);
  model["empty"] = at::empty({0, 3});
  model["frozen"] = noise({10}, 5);
  model["zero"] = at::zeros({6});
  model["ties"] = (4 * noise({64}, key * 100 + 6)).round() / 4;
  model["half"] = noise({50}, key * 100 + 7).to(at::kHalf);
  model["bfloat"] = noise({50}, key * 100 + 8).to(at::kBFloat16);
  model["steps"] = at::full({2}, static_cast<int64_t>(key), at::kLong);
  return model;
}

/// What there is to know of the experts' data. Made once and shared.
inline const FakeEvidence& mixed_evidence() {
  static const FakeEvidence evidence = [] {
    constexpr uint64_t kExperts = 3;
    constexpr int64_t kExamples = 40;
    FakeEvidence made;
    made.add_linear("head.weight", 33);
    made.groups = {{.units = 7, .axes = {{"head.weight", 0}, {"head.bias", 0}}}};
    for (uint64_t i = 0; i < kExperts; ++i) {
      StateDict& grams = made.statistics["input_gram"].emplace_back();
      for (const auto& [name, layer] : made.layers) {
        const at::Tensor x = noise({100, layer.inputs}, 10 + i);
        grams[name] = x.t().mm(x) / 100;
      }
      StateDict& fishers = made.statistics["fisher"].emplace_back();
      for (const auto& [name, tensor] : mixed_model(1))
        if (tensor.is_floating_point()) fishers[name] = noise(tensor.sizes(), 20 + i).square();
      StateDict& vectors = made.statistics["vector_fisher"].emplace_back();
      for (const auto& [name, tensor] : mixed_model(1))
        if (tensor.is_floating_point() && tensor.dim() == 1) {
          const at::Tensor g = noise({100, tensor.numel()}, 40 + i);
          vectors[name] = g.t().mm(g) / 100;
        }
      StateDict& outputs = made.statistics["output_gradient_gram"].emplace_back();
      const at::Tensor g = noise({100, 7}, 50 + i);
      outputs["head.weight"] = g.t().mm(g) / 100;
      StateDict& moments = made.statistics["activation_moments"].emplace_back();
      moments["head.weight"] = noise({4, 33}, 60 + i).abs();
      StateDict& sensitivities = made.statistics["layer_sensitivity"].emplace_back();
      for (const auto& [name, fisher] : fishers) sensitivities[name] = fisher.sum();
      made.statistics["expert_logits"].push_back(
          {{"scores", noise({kExamples, 7}, 40 + i)},
           {"classes", at::arange(7, at::kInt).expand({kExamples, 7}).contiguous()},
           {"first_rows", at::arange(kExamples + 1, at::kLong)}});
    }
    const auto inputs = [](const StateDict& weights, size_t expert, int64_t first, int64_t count) {
      const at::Tensor x = noise({kExamples, 33}, 30 + expert).narrow(0, first, count);
      return x.to(weights.at("head.weight").device());
    };
    const auto outputs = [](const StateDict& weights, const at::Tensor& x) {
      return at::linear(x, weights.at("head.weight"), weights.at("head.bias"));
    };
    const auto network = std::make_shared<FakeNetwork>(
        std::vector<int64_t>(kExperts, kExamples),
        [=](const StateDict& weights, size_t expert, int64_t first, int64_t count) {
          return outputs(weights, inputs(weights, expert, first, count));
        },
        [](size_t expert, int64_t first, int64_t count) {
          return at::arange(first, first + count).add(static_cast<int64_t>(expert)).remainder(7);
        });
    network->observed = [=](const StateDict& weights, size_t expert, int64_t first, int64_t count,
                            const SeeLayer& see) {
      const at::Tensor x = inputs(weights, expert, first, count);
      see("head.weight", [&](LayerValue value) {
        return value == LayerValue::kOutputs ? outputs(weights, x) : x;
      });
    };
    made.of_network = network;
    return made;
  }();
  return evidence;
}

inline bool needs_data(const Needs& needs) {
  return needs.calibration_inputs || needs.calibration_labels || needs.gradients;
}
inline bool needs_evidence(const Needs& needs) { return needs_data(needs) || needs.architecture; }

inline const MethodEntry& entry_of(const std::string& ref) {
  return methods().at(parse_method_ref(ref).name, "test");
}

inline bool makes_mixture(const std::string& ref) {
  return entry_of(ref).info.needs.output == Output::kMixtureOfExperts;
}
/// A mixture that is made of one model is made of a mixture.
inline bool takes_mixture(const std::string& ref) {
  return makes_mixture(ref) && entry_of(ref).info.needs.max_experts == 1;
}

inline Json config_for(const std::string& ref) {
  return takes_mixture(ref) ? small_mixtral_config() : small_llama_config();
}

/// A model that the method can merge: the mixed one, or a decoder where a mixture is made of it or
/// its layers are counted.
inline const StateDict& model_for(const std::string& ref, uint64_t key) {
  const Output output = entry_of(ref).info.needs.output;
  if (output == Output::kSameArchitecture || output == Output::kModelPerTask ||
      output == Output::kWider)
    return mixed_model(key);
  static std::map<std::pair<bool, uint64_t>, StateDict> decoders;
  StateDict& model = decoders[{takes_mixture(ref), key}];
  if (model.empty()) model = small_model(key, config_for(ref));
  return model;
}

/// What there is to know of the data of the small mixtures, those that are given and those that are
/// made. Made once and shared.
inline const FakeEvidence& mixture_evidence() {
  static const FakeEvidence evidence = [] {
    constexpr int64_t kExamples = 40, kExpertsOfLayer = 6, kWidth = 8, kSubsetsOf4 = 15;
    FakeEvidence made;
    StateDict& routing = made.statistics["routing"].emplace_back();
    StateDict& subsets = made.statistics["subset_errors"].emplace_back();
    std::vector<std::string> routers;
    for (uint64_t i = 0; i < 2; ++i) {
      routers.push_back(fmt::format("model.layers.{}.block_sparse_moe.gate.weight", i));
      const at::Tensor logits = noise({20, kExpertsOfLayer}, 70 + i);
      routing[routers.back()] =
          at::cat({noise({kExpertsOfLayer, 4}, 72 + i).abs(), logits.t().mm(logits) / 20,
                   noise({kExpertsOfLayer, 2 * kWidth}, 74 + i)},
                  1)
              .to(at::kDouble);
      subsets[routers.back()] = noise({kSubsetsOf4}, 76 + i).abs().to(at::kDouble);
    }
    const auto network = std::make_shared<FakeNetwork>(
        std::vector<int64_t>(3, kExamples),
        [](const StateDict& weights, size_t, int64_t first, int64_t count) {
          // Of a mixture's first expert, in either form, or of a routed ensemble's first member.
          auto gate = weights.find("model.layers.0.block_sparse_moe.experts.0.w1.weight");
          for (const char* other : {"model.layers.0.mlp.experts.0.gate_proj.weight",
                                    "members.0.model.layers.0.mlp.gate_proj.weight"})
            if (gate == weights.end()) gate = weights.find(other);
          REQUIRE(gate != weights.end());
          const at::Tensor x = noise({kExamples, kWidth}, 81).narrow(0, first, count);
          return at::linear(x.to(gate->second.device()), gate->second);
        },
        [](size_t, int64_t first, int64_t count) {
          return at::arange(first, first + count).remainder(7);
        });
    network->observed = [=](const StateDict& weights, size_t, int64_t first, int64_t count,
                            const SeeLayer& see) {
      for (const std::string& router : routers)
        see(router, [&](LayerValue) {
          return noise({kExamples, kWidth}, 80)
              .narrow(0, first, count)
              .to(weights.at(router).device());
        });
    };
    made.of_network = network;
    return made;
  }();
  return evidence;
}

/// What the method, with its default parameters, needs and no more: as many experts as it takes,
/// three if it can.
inline MergeInputs mixed_inputs(const std::string& ref) {
  const Needs needs = make_method(ref, JsonReader(Json::object(), "test"))->needs();
  MergeInputs inputs;
  inputs.seed = 42;
  inputs.config = config_for(ref);
  if (needs.base) inputs.base = source("base", model_for(ref, 1));
  if (needs_evidence(needs))
    inputs.evidence = makes_mixture(ref) ? &mixture_evidence() : &mixed_evidence();
  const int count = std::clamp(3, needs.min_experts, needs.max_experts);
  for (int i = 0; i < count; ++i)
    inputs.experts.push_back(
        source("expert " + std::to_string(i), model_for(ref, static_cast<uint64_t>(i) + 2)));
  return inputs;
}

/// A source that must not be read.
class Untouchable : public TensorSource {
 public:
  explicit Untouchable(std::shared_ptr<const TensorSource> inner) : inner_(std::move(inner)) {}
  std::string label() const override { return inner_->label(); }
  const std::vector<TensorInfo>& tensors() const override { return inner_->tensors(); }
  at::Tensor read(const std::string& name) const override {
    throw std::logic_error("tensor '" + name + "' was read");
  }
  std::string content_hash() const override { throw std::logic_error("tensors were hashed"); }

 private:
  std::shared_ptr<const TensorSource> inner_;
};

inline MergeInputs untouchable(MergeInputs inputs) {
  if (inputs.base) inputs.base = std::make_shared<Untouchable>(inputs.base);
  for (auto& expert : inputs.experts) expert = std::make_shared<Untouchable>(expert);
  return inputs;
}

/// The methods that are held to the tests: all, or the one that ASSAY_CONFORMANCE_METHOD names.
inline std::vector<std::string> tested_methods() {
  const char* one = std::getenv("ASSAY_CONFORMANCE_METHOD");
  if (!one || !*one) return methods().names();
  methods().at(one, "ASSAY_CONFORMANCE_METHOD");  // UserError when there is none
  return {one};
}

/// These methods and their presets, as users name them.
inline std::vector<std::string> all_refs() {
  std::vector<std::string> refs;
  for (const std::string& name : tested_methods()) {
    refs.push_back(name);
    for (const Preset& preset : methods().at(name, "test").presets)
      refs.push_back(name + "@" + std::string(preset.name));
  }
  return refs;
}

/// A few roundings of numbers of size 1 to 2, in float32 and then in the storage dtype.
inline double tolerance(at::ScalarType dtype) {
  const double unit = dtype == at::kHalf ? 0x1p-11 : dtype == at::kBFloat16 ? 0x1p-8 : 0x1p-24;
  return 8 * unit;
}

/// All that a method makes of the models: one model, and where it makes a model per task the task
/// model of every expert after it.
using Results = std::vector<StateDict>;
inline Results merge_all(const std::string& ref, const Json& parameters, MergeInputs inputs) {
  Results results{merge(ref, parameters, inputs)};
  if (entry_of(ref).info.needs.output != Output::kModelPerTask) return results;
  for (size_t i = 0; i < inputs.experts.size(); ++i) {
    inputs.task_expert = i;
    results.push_back(merge(ref, parameters, inputs));
  }
  return results;
}

/// Two results of one method that are to be the same, in the sense that it declares.
inline bool same_models(const std::string& ref, const StateDict& a, const StateDict& b) {
  if (entry_of(ref).info.same_bytes) return same_bytes(a, b);
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
           const auto other = b.find(entry.first);
           return other != b.end() && entry.second.sizes() == other->second.sizes() &&
                  distance(entry.second, other->second) <= tolerance(entry.second.scalar_type());
         });
}
inline bool same_results(const std::string& ref, const Results& a, const Results& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(),
      [&](const StateDict& one, const StateDict& other) { return same_models(ref, one, other); });
}

}  // namespace assay::testing
