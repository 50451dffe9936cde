#include "harness/checkpoint/internal/gguf_families.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/core/error.h"

namespace assay {
namespace {

using Change = GgufChange;
using Names = std::vector<GgufName>;

Names operator+(Names first, const Names& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const Names kOutside{
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
const Names kNorms{{"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"}};
const Names kAttention{{"attn_q", "self_attn.q_proj"},
                       {"attn_k", "self_attn.k_proj"},
                       {"attn_v", "self_attn.v_proj"},
                       {"attn_output", "self_attn.o_proj"}};
const Names kPermutedAttention{{"attn_q", "self_attn.q_proj", Change::kQuery},
                               {"attn_k", "self_attn.k_proj", Change::kKey},
                               {"attn_v", "self_attn.v_proj"},
                               {"attn_output", "self_attn.o_proj"}};
const Names kHeadNorms{{"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"}};
const Names kGated{
    {"ffn_gate", "mlp.gate_proj"}, {"ffn_up", "mlp.up_proj"}, {"ffn_down", "mlp.down_proj"}};
const Names kExperts{{"ffn_gate_inp", "mlp.gate"},
                     {"ffn_gate_exps", "mlp.experts.#.gate_proj", Change::kExperts},
                     {"ffn_up_exps", "mlp.experts.#.up_proj", Change::kExperts},
                     {"ffn_down_exps", "mlp.experts.#.down_proj", Change::kExperts}};
const Names kSharedExpert{{"ffn_gate_inp_shexp", "mlp.shared_expert_gate", Change::kRow},
                          {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                          {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                          {"ffn_down_shexp", "mlp.shared_expert.down_proj"}};
const Names kMixtralExperts{{"ffn_gate_inp", "block_sparse_moe.gate"},
                            {"ffn_gate_exps", "block_sparse_moe.experts.#.w1", Change::kExperts},
                            {"ffn_down_exps", "block_sparse_moe.experts.#.w2", Change::kExperts},
                            {"ffn_up_exps", "block_sparse_moe.experts.#.w3", Change::kExperts}};

const GgufFamily kMixtral{"llama",        "mixtral", "MixtralForCausalLM",
                          "model.layers", kOutside,  kNorms + kPermutedAttention + kMixtralExperts};

const GgufFamily kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", "model.layers", kOutside,
     kNorms + kPermutedAttention + kGated},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", "model.layers", kOutside, kNorms + kAttention + kGated},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", "model.layers", kOutside,
     kNorms + kAttention + kHeadNorms + kGated},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", "model.layers", kOutside,
     kNorms + kAttention + kExperts + kSharedExpert},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", "model.layers", kOutside,
     kNorms + kAttention + kHeadNorms + kExperts},
    {"olmoe", "olmoe", "OlmoeForCausalLM", "model.layers", kOutside,
     kNorms + kAttention + kHeadNorms + kExperts},
    {"phi3", "phi3", "Phi3ForCausalLM", "model.layers", kOutside,
     kNorms + Names{{"attn_qkv", "self_attn.qkv_proj"},
                    {"attn_output", "self_attn.o_proj"},
                    {"ffn_up", "mlp.gate_up_proj"},
                    {"ffn_down", "mlp.down_proj"}}},
    {"gemma2",
     "gemma2",
     "Gemma2ForCausalLM",
     "model.layers",
     {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm", Change::kPlusOne}},
     kAttention + kGated +
         Names{{"attn_norm", "input_layernorm", Change::kPlusOne},
               {"post_attention_norm", "post_attention_layernorm", Change::kPlusOne},
               {"ffn_norm", "pre_feedforward_layernorm", Change::kPlusOne},
               {"post_ffw_norm", "post_feedforward_layernorm", Change::kPlusOne}}},
    {"gpt2",
     "gpt2",
     "GPT2LMHeadModel",
     "transformer.h",
     {{"token_embd", "transformer.wte"},
      {"position_embd", "transformer.wpe"},
      {"output_norm", "transformer.ln_f"},
      {"output", "lm_head"}},
     {{"attn_norm", "ln_1"},
      {"attn_qkv", "attn.c_attn", Change::kTransposed},
      {"attn_output", "attn.c_proj", Change::kTransposed},
      {"ffn_norm", "ln_2"},
      {"ffn_up", "mlp.c_fc", Change::kTransposed},
      {"ffn_down", "mlp.c_proj", Change::kTransposed}}},
};

// What is read into config.json, not a weight.
bool is_configuration(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

class Views {
 public:
  Views(const GgufHeader& header, const std::string& file)
      : header_(header), metadata_(header, file), family_(gguf_family(metadata_)) {}

  std::vector<GgufView> run() {
    for (const GgufTensor& tensor : header_.tensors)
      if (!is_configuration(tensor.name)) add(tensor);
    std::sort(views_.begin(), views_.end(),
              [](const GgufView& a, const GgufView& b) { return a.name < b.name; });
    for (size_t i = 1; i < views_.size(); ++i)
      if (views_[i].name == views_[i - 1].name)
        data_error("{}: tensors '{}' and '{}' both are '{}'", metadata_.file(),
                   views_[i - 1].source->name, views_[i].source->name, views_[i].name);
    return std::move(views_);
  }

 private:
  [[noreturn]] void refuse(const GgufTensor& tensor, const std::string& why) const {
    data_error("{}: tensor '{}' of architecture '{}' {}", metadata_.file(), tensor.name,
               family_.architecture, why);
  }

  void add(const GgufTensor& tensor) {
    std::string_view rest = tensor.name;
    std::string prefix;
    if (rest.starts_with("blk.")) {
      rest.remove_prefix(4);
      const size_t digits = rest.find('.');
      const std::string_view number = rest.substr(0, digits);
      if (digits == std::string_view::npos || number.empty() || number.size() > 6 ||
          number.find_first_not_of("0123456789") != std::string_view::npos ||
          (number.size() > 1 && number.front() == '0'))
        refuse(tensor, "names no block");
      prefix = fmt::format("{}.{}.", family_.blocks, number);
      rest.remove_prefix(digits + 1);
    }
    const size_t dot = rest.rfind('.');
    const std::string_view part = rest.substr(0, dot);
    const std::string_view end = dot == std::string_view::npos ? "" : rest.substr(dot);
    const Names& names = prefix.empty() ? family_.outside : family_.in_block;
    const auto found = std::find_if(names.begin(), names.end(),
                                    [&](const GgufName& name) { return name.gguf == part; });
    if (found == names.end() || (end != ".weight" && end != ".bias"))
      refuse(tensor, "is not read: it has no name in Hugging Face's layout");
    add_view(tensor, *found, prefix, std::string(end));
  }

  void add_view(const GgufTensor& tensor, const GgufName& name, const std::string& prefix,
                const std::string& end) {
    GgufView view{prefix + std::string(name.hugging_face) + end, &tensor, tensor.shape};
    view.change = name.change;
    switch (name.change) {
      case Change::kNone:
      case Change::kPlusOne:
        break;
      case Change::kQuery:
      case Change::kKey:
        view.heads = metadata_.integer(metadata_.own("attention.head_count"));
        if (name.change == Change::kKey)
          view.heads = metadata_.optional_integer(metadata_.own("attention.head_count_kv"))
                           .value_or(view.heads);
        if (view.heads < 1 || view.shape.front() % (2 * view.heads) != 0)
          refuse(tensor, fmt::format("has {} rows, which are no pairs of {} heads",
                                     view.shape.front(), view.heads));
        break;
      case Change::kTransposed:
        if (view.shape.size() == 1) view.change = Change::kNone;  // a bias
        std::reverse(view.shape.begin(), view.shape.end());
        break;
      case Change::kRow:
        view.change = Change::kNone;
        if (view.shape.size() == 1) view.shape.insert(view.shape.begin(), 1);
        break;
      case Change::kExperts:
        return add_experts(tensor, std::move(view));
    }
    views_.push_back(std::move(view));
  }

  void add_experts(const GgufTensor& tensor, GgufView view) {
    if (view.shape.size() != 3) refuse(tensor, "is expected to have 3 dimensions");
    const int64_t experts = view.shape.front();
    if (experts > kMaxExperts) refuse(tensor, fmt::format("has {} experts", experts));
    view.shape.erase(view.shape.begin());
    const size_t mark = view.name.find('#');
    for (int64_t i = 0; i < experts; ++i) {
      GgufView expert = view;
      expert.name.replace(mark, 1, std::to_string(i));
      expert.first_row = i * view.shape.front();
      views_.push_back(std::move(expert));
    }
  }

  static constexpr int64_t kMaxExperts = 4096;

  const GgufHeader& header_;
  GgufMetadata metadata_;
  const GgufFamily& family_;
  std::vector<GgufView> views_;
};

}  // namespace

const GgufFamily& gguf_family(const GgufMetadata& metadata) {
  const std::string name = metadata.architecture();
  if (name == "llama" && metadata.optional_integer("llama.expert_count").value_or(0) > 0)
    return kMixtral;
  std::vector<std::string> known;
  for (const GgufFamily& family : kFamilies) {
    if (family.architecture == name) return family;
    known.emplace_back(family.architecture);
  }
  throw DataError(unknown_name("architecture of GGUF", name, metadata.file(), known));
}

std::vector<GgufView> gguf_views(const GgufHeader& header, const std::string& file) {
  return Views(header, file).run();
}

}  // namespace assay
