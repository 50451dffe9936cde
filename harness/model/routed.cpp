#include "harness/model/routed.h"

#include <algorithm>
#include <set>

#include "harness/core/error.h"
#include "harness/model/internal/decoder.h"

namespace assay {

void RoutingOptions::parameters(auto&& p) {
  p(members, {.name = "members", .range = {1, 1024}, .help = "how many models it holds"});
  p(router, {.name = "router",
             .choices = sequence_router_names(),
             .help = "what decides, by the prompt, which of them answer"});
  p(top_k, {.name = "top_k", .range = {1, 1024}, .help = "how many answer; all, of uniform"});
  p(temperature, {.name = "temperature",
                  .range = {1e-3, 1000},
                  .help = "divides the router's scores before the softmax over those that answer"});
  p(ascent, {.name = "ascent",
             .help = "task_vector_gradient compares with the direction in which the loss rises"});
  p(mix, {.name = "mix",
          .choices = member_mix_names(),
          .help = "what of those that answer is summed by their shares: probabilities, log "
                  "probabilities, which are then normalised, what their layers add to one "
                  "residual stream, or their last hidden states, projected to one width"});
  p(shared, {.name = "shared",
             .help = "tensors of this name replace those of every member that answers; the router "
                     "looks at the member's own"});
  p(opening, {.name = "opening",
              .range = {1, 1 << 20},
              .help = "tokens at the beginning of a text without a prompt that all answer alike, "
                      "and that decide about the rest"});
}

namespace {

using Mix = RoutingOptions::Mix;

bool have_same_tensors(const Architecture& one, const Architecture& other) {
  const std::vector<TensorInfo> a = one.tensors(), b = other.tensors();
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const TensorInfo& x, const TensorInfo& y) {
                      return x.name == y.name && x.shape == y.shape;
                    });
}

std::shared_ptr<const LanguageArchitecture> read_member(const JsonReader& config) {
  std::shared_ptr<const Architecture> any = make_architecture(config);
  auto decoder = std::dynamic_pointer_cast<const LanguageArchitecture>(any);
  if (!decoder) config.fail("expected the config.json of a decoder-only language model");
  return decoder;
}

std::unique_ptr<Architecture> make_routed(JsonReader fields) {
  const JsonReader member = fields.at("member");
  Json json = fields.json();
  json.erase("member");
  RoutingOptions options;
  assign_parameters(options, JsonReader(json, fields.where()));
  if (!member.json().is_array())
    return std::make_unique<RoutedArchitecture>(read_member(member), options);
  MemberArchitectures members;
  for (const JsonReader& one : member.elements()) members.push_back(read_member(one));
  if (std::ssize(members) != options.members)
    member.fail(fmt::format("expected the config.json of each of the {} members, found {}",
                            options.members, members.size()));
  return std::make_unique<RoutedArchitecture>(std::move(members), options);
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

RoutedArchitecture::RoutedArchitecture(const std::shared_ptr<const LanguageArchitecture>& member,
                                       RoutingOptions options)
    : RoutedArchitecture(MemberArchitectures(static_cast<size_t>(options.members), member),
                         options) {}

RoutedArchitecture::RoutedArchitecture(MemberArchitectures members, RoutingOptions options)
    : members_(std::move(members)),
      options_(std::move(options)),
      router_(make_sequence_router(options_.router, options_.ascent)) {
  if (options_.top_k > options_.members)
    user_error("assay_routed: 'top_k' is {}, and there are {} members", options_.top_k,
               options_.members);
  check_members();
  std::set<std::string> names;
  for (const TensorInfo& info : first().tensors()) names.insert(info.name);
  for (const std::string& name : options_.shared)
    if (!names.contains(name))
      user_error("assay_routed: 'shared' names '{}', which is no tensor of a member", name);
  if (options_.mix != Mix::kLayers) return;
  for (const auto& block : first().blocks())
    for (const std::string& name : block) names.erase(name);
  for (const std::string& name : options_.shared) names.erase(name);
  if (!names.empty())
    user_error(
        "assay_routed: 'mix' is layers, between one embedding and one head: expected '{}' among "
        "the tensors that are 'shared'",
        *names.begin());
  layered_ = std::dynamic_pointer_cast<const Decoder>(members_.front());
  if (!layered_)
    user_error(
        "assay_routed: 'mix' is layers, and the layers of a '{}' are not to be had one by "
        "one",
        first().config().at("model_type").get<std::string>());
}

void RoutedArchitecture::check_members() const {
  bool equal = true;
  for (const auto& member : members_) {
    if (member->vocabulary() != vocabulary())
      user_error("assay_routed: the members' vocabularies have {} and {} tokens", vocabulary(),
                 member->vocabulary());
    equal = equal && have_same_tensors(*member, first());
  }
  if (options_.mix == Mix::kHidden && !options_.shared.empty())
    user_error(
        "assay_routed: 'mix' is hidden, whose embedding and head are no member's: expected "
        "no tensor in 'shared'");
  if (equal) return;
  if (options_.mix == Mix::kLayers || !options_.shared.empty())
    user_error(
        "assay_routed: the members differ in their tensors, which 'mix' layers and 'shared' "
        "take as one");
  if (options_.router == SequenceRouterKind::kTaskVectorGradient)
    user_error(
        "assay_routed: the members differ in their tensors, and 'router' compares their "
        "task vectors");
}

Json RoutedArchitecture::config() const {
  Json json = parameters_to_json(options_);
  json["model_type"] = "assay_routed";
  Json configs = Json::array();
  bool equal = true;
  for (const auto& member : members_) {
    configs.push_back(member->config());
    equal = equal && configs.back() == configs.front();
  }
  json["member"] = equal ? configs.front() : configs;
  return json;
}

int64_t RoutedArchitecture::members() const {
  return options_.router == SequenceRouterKind::kUniform ? options_.members : options_.top_k;
}

int64_t RoutedArchitecture::max_positions() const {
  int64_t shortest = first().max_positions();
  for (const auto& member : members_) shortest = std::min(shortest, member->max_positions());
  return shortest;
}

}  // namespace assay
