#include "harness/model/routed.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/model/ensemble.h"
#include "harness/model/internal/decoder.h"

namespace assay {

void RoutingOptions::parameters(auto&& p) {
  p(members, {.name = "members", .range = {1, 1024}, .help = "how many models it holds"});
  p(router, {.name = "router",
             .choices = {"perplexity", "task_vector_gradient", "sequence_embedding", "tfidf",
                         "random", "uniform"},
             .help = "what decides, by the prompt, which of them answer"});
  p(top_k, {.name = "top_k", .range = {1, 1024}, .help = "how many answer; all, of uniform"});
  p(temperature, {.name = "temperature",
                  .range = {1e-3, 1000},
                  .help = "divides the router's scores before the softmax over those that answer"});
  p(ascent, {.name = "ascent",
             .help = "task_vector_gradient compares with the direction in which the loss rises"});
  p(mix, {.name = "mix",
          .choices = {"probabilities", "logits", "layers"},
          .help = "what of those that answer is summed by their shares: probabilities, log "
                  "probabilities, which are then normalised, or what their layers add to one "
                  "residual stream"});
  p(shared, {.name = "shared",
             .help = "tensors of this name replace those of every member that answers; the router "
                     "looks at the member's own"});
  p(opening, {.name = "opening",
              .range = {1, 1 << 20},
              .help = "tokens at the beginning of a text without a prompt that all answer alike, "
                      "and that decide about the rest"});
}

namespace {

/// Decoders between one embedding and one head, whose layers read and write one residual stream.
class LayerMixture final : public LanguageArchitecture {
 public:
  LayerMixture(std::shared_ptr<const Decoder> decoder, std::vector<LanguageModel> models,
               const std::vector<double>& shares)
      : decoder_(std::move(decoder)), models_(std::move(models)) {
    for (size_t i = 0; i < models_.size(); ++i) layers_.push_back({&models_[i].weights, shares[i]});
  }
  LayerMixture(const LayerMixture&) = delete;
  LayerMixture& operator=(const LayerMixture&) = delete;

  Json config() const override {
    return {{"model_type", "layer_mixture"}, {"member", decoder_->config()}};
  }
  std::vector<TensorInfo> tensors() const override { return {}; }
  StateDict initial_weights(uint64_t) const override { return {}; }
  int64_t vocabulary() const override { return decoder_->vocabulary(); }
  int64_t max_positions() const override { return decoder_->max_positions(); }
  bool can_extend(int64_t from, int64_t to) const override {
    return decoder_->can_extend(from, to);
  }
  int64_t members() const override { return static_cast<int64_t>(models_.size()); }
  at::Tensor hidden(const StateDict&, const TokenBatch& batch, KvCache* cache) const override {
    return decoder_->mixed_hidden(layers_, batch, cache);
  }
  at::Tensor vocabulary_logits(const StateDict&, const at::Tensor& hidden) const override {
    return decoder_->vocabulary_logits(models_.front().weights, hidden);
  }

 private:
  std::shared_ptr<const Decoder> decoder_;
  std::vector<LanguageModel> models_;
  std::vector<LayerShare> layers_;
};

std::string member_prefix(size_t member) { return fmt::format("members.{}.", member); }
const std::string kRouter = "router.";

std::unique_ptr<Architecture> make_routed(JsonReader fields) {
  const JsonReader member = fields.at("member");
  std::shared_ptr<const Architecture> any = make_architecture(member);
  auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  if (!decoder) member.fail("expected the config.json of a decoder-only language model");
  Json options = fields.json();
  options.erase("member");
  RoutingOptions read;
  assign_parameters(read, JsonReader(options, fields.where()));
  return std::make_unique<RoutedArchitecture>(std::move(decoder), read);
}

ASSAY_REGISTER([] {
  architectures().add(
      "assay_routed",
      {"whole models of which every sequence is answered by those that its prompt decides for",
       "arXiv:2502.00997", describe_parameters<RoutingOptions>(), make_routed,
       R"({"members": 2, "router": "perplexity", "top_k": 2,
           "member": {"model_type": "llama", "vocab_size": 16, "hidden_size": 8,
                      "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
                      "num_key_value_heads": 1, "rms_norm_eps": 1e-6}})"});
});

}  // namespace

RoutedArchitecture::RoutedArchitecture(std::shared_ptr<const LanguageArchitecture> member,
                                       RoutingOptions options)
    : member_(std::move(member)),
      options_(std::move(options)),
      router_(make_sequence_router(options_.router, options_.ascent)) {
  if (options_.top_k > options_.members)
    user_error("assay_routed: 'top_k' is {}, and there are {} members", options_.top_k,
               options_.members);
  std::set<std::string> names;
  for (const TensorInfo& info : member_->tensors()) names.insert(info.name);
  for (const std::string& name : options_.shared)
    if (!names.contains(name))
      user_error("assay_routed: 'shared' names '{}', which is no tensor of a member", name);
  if (options_.mix != RoutingOptions::Mix::kLayers) return;
  for (const auto& block : member_->blocks())
    for (const std::string& name : block) names.erase(name);
  for (const std::string& name : options_.shared) names.erase(name);
  if (!names.empty())
    user_error(
        "assay_routed: 'mix' is layers, between one embedding and one head: expected '{}' among "
        "the tensors that are 'shared'",
        *names.begin());
  layered_ = std::dynamic_pointer_cast<const Decoder>(member_);
  if (!layered_)
    user_error(
        "assay_routed: 'mix' is layers, and the layers of a '{}' are not to be had one by "
        "one",
        member_->config().at("model_type").get<std::string>());
}

Json RoutedArchitecture::config() const {
  Json json = parameters_to_json(options_);
  json["model_type"] = "assay_routed";
  json["member"] = member_->config();
  return json;
}

std::vector<TensorInfo> RoutedArchitecture::tensors() const {
  std::vector<TensorInfo> all;
  const auto add = [&](std::vector<TensorInfo> infos, const std::string& prefix) {
    for (TensorInfo& info : infos) {
      info.name.insert(0, prefix);
      all.push_back(std::move(info));
    }
  };
  for (int64_t i = 0; i < options_.members; ++i)
    add(member_->tensors(), member_prefix(static_cast<size_t>(i)));
  add(router_->tensors(*member_, options_.members), kRouter);
  const std::set<std::string> shared(options_.shared.begin(), options_.shared.end());
  for (TensorInfo& info : member_->tensors())
    if (shared.contains(info.name)) all.push_back(std::move(info));
  std::sort(all.begin(), all.end(),
            [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  return all;
}

StateDict RoutedArchitecture::initial_weights(uint64_t seed) const {
  constexpr double kDeviation = 0.02;
  return normal_weights(tensors(), kDeviation, 1, seed);
}

CheckpointNames RoutedArchitecture::checkpoint_names() const {
  const CheckpointNames own = member_->checkpoint_names();
  CheckpointNames all;
  all.renamed_ends = own.renamed_ends;
  std::vector<std::string> prefixes{"", kRouter + "base."};
  for (int64_t i = 0; i < options_.members; ++i)
    prefixes.push_back(member_prefix(static_cast<size_t>(i)));
  for (const std::string& prefix : prefixes) {
    const auto add = [&](const auto& pairs, auto& to) {
      for (const auto& [name, other] : pairs) to.emplace_back(prefix + name, prefix + other);
    };
    add(own.renamed, all.renamed);
    add(own.tied, all.tied);
    add(own.substituted, all.substituted);
    for (const std::string& ignored : own.ignored) all.ignored.push_back(prefix + ignored);
  }
  return all;
}

StateDict RoutedArchitecture::member_weights(const StateDict& weights, size_t member) const {
  const std::string prefix = member_prefix(member);
  StateDict own;
  for (auto it = weights.lower_bound(prefix); it != weights.end() && it->first.starts_with(prefix);
       ++it)
    own.emplace(it->first.substr(prefix.size()), it->second);
  return own;
}

StateDict RoutedArchitecture::answering_weights(const StateDict& weights, size_t member) const {
  StateDict own = member_weights(weights, member);
  for (const std::string& name : options_.shared) own[name] = weights.at(name);
  return own;
}

int64_t RoutedArchitecture::members() const {
  return options_.router == SequenceRouterKind::kUniform ? options_.members : options_.top_k;
}

std::vector<std::string> RoutedArchitecture::answering_tensors() const {
  std::vector<std::string> names = options_.shared;
  const std::set<std::string> shared(names.begin(), names.end());
  for (const TensorInfo& info : member_->tensors())
    if (!shared.contains(info.name))
      for (int64_t i = 0; i < members(); ++i)
        names.push_back(member_prefix(static_cast<size_t>(i)) + info.name);
  return names;
}

std::vector<double> RoutedArchitecture::equal_shares() const {
  return {std::vector<double>(static_cast<size_t>(options_.members),
                              1 / static_cast<double>(options_.members))};
}

std::vector<double> RoutedArchitecture::decide(const StateDict& weights,
                                               const TokenIds& prompt) const {
  if (options_.router == SequenceRouterKind::kUniform || prompt.size() < router_->least_tokens())
    return equal_shares();
  std::vector<StateDict> members;
  for (int64_t i = 0; i < options_.members; ++i)
    members.push_back(member_weights(weights, static_cast<size_t>(i)));
  StateDict own;
  for (auto it = weights.lower_bound(kRouter);
       it != weights.end() && it->first.starts_with(kRouter); ++it)
    own.emplace(it->first.substr(kRouter.size()), it->second);
  return shares_of(router_->scores({*member_, members, own, prompt}), options_.top_k,
                   options_.temperature);
}

LanguageModel RoutedArchitecture::mixed(const RoutedModel& model,
                                        const std::vector<double>& shares) const {
  std::vector<LanguageModel> chosen;
  std::vector<double> own;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == 0) continue;
    chosen.push_back(
        {member_, answering_weights(model.weights, i), model.device, model.tokenizer, ""});
    own.push_back(shares[i]);
  }
  if (chosen.size() == 1) return chosen.front();
  if (layered_)
    return {std::make_shared<LayerMixture>(layered_, std::move(chosen), std::move(own)),
            {},
            model.device,
            model.tokenizer,
            ""};
  const EnsembleRule rule = options_.mix == RoutingOptions::Mix::kLogits
                                ? EnsembleRule::kLogits
                                : EnsembleRule::kProbabilities;
  return {weighted_ensemble(std::move(chosen), std::move(own), rule),
          {},
          model.device,
          model.tokenizer,
          ""};
}

at::Tensor RoutedArchitecture::logits(const StateDict& weights, const at::Tensor& ids) const {
  if (ids.dim() != 2)
    data_error("a language model takes ids of shape [rows, tokens], found {}",
               shape_text(ids.sizes()));
  const at::Tensor on_host = ids.to(at::kCPU, at::kLong).contiguous();
  const RoutedModel model{nullptr, weights, ids.device(), nullptr, ""};
  std::vector<at::Tensor> rows;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const int64_t* first = on_host.const_data_ptr<int64_t>() + row * ids.size(1);
    const LanguageModel answering =
        mixed(model, decide(weights, TokenIds(first, first + ids.size(1))));
    rows.push_back(
        answering.architecture->logits(answering.weights, ids.narrow(0, row, 1)).squeeze(0));
  }
  return at::stack(rows);
}

}  // namespace assay
