/// BERT and RoBERTa: post-norm encoders with learned positions. RoBERTa differs in its first
/// position and in its heads.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/model/encoder.h"
#include "harness/model/internal/attention.h"
#include "harness/model/internal/family.h"
#include "harness/model/internal/layers.h"
#include "harness/model/internal/masked_head.h"
#include "harness/model/observer.h"

namespace assay {
namespace {

struct BertConfig {
  std::string prefix;  ///< "bert." or "roberta."
  int64_t vocabulary = 0, width = 0, heads = 0, head_size = 0, layers = 0, types = 0, classes = 0;
  int64_t positions = 0, first_position = 0;
  double norm_epsilon = 0, initializer_range = 0;
  FeedForwardShape feed_forward;
  std::optional<MaskedHead> masked;
};

BertConfig read_bert(ConfigFields& config, const std::string& model) {
  BertConfig c;
  c.prefix = model + ".";
  c.vocabulary = config.size("vocab_size");
  c.width = config.size("hidden_size");
  c.layers = config.layers("num_hidden_layers");
  c.heads = config.size("num_attention_heads");
  c.types = config.size("type_vocab_size", 2);
  c.positions = config.size("max_position_embeddings");
  c.norm_epsilon = config.positive("layer_norm_eps", 1e-12);
  c.initializer_range = config.positive("initializer_range", 0.02);
  c.classes = config.classes("ForSequenceClassification");
  // RoBERTa's positions start after the id of the padding token.
  if (model == "roberta") c.first_position = config.count("pad_token_id", 1) + 1;
  c.head_size = config.per_head("hidden_size", c.width, "num_attention_heads", c.heads);
  if (c.positions <= c.first_position)
    user_error("{}: max_position_embeddings {} leaves no position after {}", config.where(),
               c.positions, c.first_position - 1);
  c.feed_forward.width = c.width;
  c.feed_forward.inner = config.size("intermediate_size");
  c.feed_forward.bias = true;
  c.feed_forward.activation =
      activation(config.text("hidden_act", "gelu"), config.where() + ".hidden_act");
  if (config.is_for("ForMaskedLM")) {
    config.only("tie_word_embeddings", true);
    c.masked = model == "bert" ? MaskedHead::of_bert(c.feed_forward.activation, c.norm_epsilon)
                               : MaskedHead::of_roberta(c.norm_epsilon);
  }
  config.only("position_embedding_type", "absolute");
  config.only("is_decoder", false);
  config.ignore({"attention_probs_dropout_prob", "hidden_dropout_prob", "tie_word_embeddings"});
  // Fields of Google's original BERT code.
  config.ignore({"directionality", "pooler_fc_size", "pooler_num_attention_heads",
                 "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"});
  return c;
}

class Bert final : public EncoderArchitecture {
 public:
  Bert(BertConfig config, Json json) : config_(std::move(config)), json_(std::move(json)) {
    for (int64_t i = 0; i < config_.layers; ++i) {
      const std::string name = fmt::format("{}encoder.layer.{}.", config_.prefix, i);
      blocks_.push_back({name, plain_feed_forward(config_.feed_forward, name + "intermediate.dense",
                                                  name + "output.dense")});
    }
  }

  Json config() const override { return json_; }
  int64_t vocabulary() const override { return config_.vocabulary; }
  int64_t max_tokens() const override { return config_.positions - config_.first_position; }
  int64_t classes() const override { return config_.classes; }
  StateDict initial_weights(uint64_t seed) const override {
    return normal_weights(tensors(), config_.initializer_range, 1.0, seed);
  }

  CheckpointNames checkpoint_names() const override {
    CheckpointNames names;
    for (const char* part : {"embeddings.", "encoder.", "pooler."})
      names.renamed.emplace_back(part, config_.prefix + part);
    // Names in the first published checkpoints, converted from TensorFlow.
    names.renamed_ends = {{"LayerNorm.gamma", "LayerNorm.weight"},
                          {"LayerNorm.beta", "LayerNorm.bias"}};
    names.ignored = {"embeddings.position_ids", "cls.seq_relationship."};
    if (config_.masked)
      names.tied = config_.masked->tied();
    else
      names.ignored.insert(names.ignored.end(), {"cls.", "lm_head."});
    if (config_.classes == 0) names.ignored.emplace_back("classifier.");
    if (config_.classes == 0 || roberta()) names.ignored.push_back(config_.prefix + "pooler.");
    return names;
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> all;
    const std::string embeddings = config_.prefix + "embeddings.";
    const int64_t width = config_.width;
    add_linear(all, embeddings + "word_embeddings", width, config_.vocabulary, false);
    add_linear(all, embeddings + "position_embeddings", width, config_.positions, false);
    add_linear(all, embeddings + "token_type_embeddings", width, config_.types, false);
    add_norm(all, embeddings + "LayerNorm", width, NormKind::kLayer);
    for (const Block& block : blocks_)
      for (TensorInfo& info : block_tensors(block)) all.push_back(std::move(info));
    if (config_.classes > 0) {
      add_linear(all, head_dense(), width, width, true);
      add_linear(all, head_output(), width, config_.classes, true);
    }
    if (config_.masked) config_.masked->add_tensors(all, width, config_.vocabulary);
    std::sort(all.begin(), all.end(),
              [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
    return all;
  }

  std::vector<std::vector<std::string>> blocks() const override {
    std::vector<std::vector<std::string>> names;
    for (const Block& block : blocks_) names.push_back(tensor_names(block_tensors(block)));
    return names;
  }

  at::Tensor hidden(const StateDict& weights, const EncoderBatch& batch) const override {
    const CountedTokens counted(batch.mask);
    const std::string embeddings = config_.prefix + "embeddings.";
    const at::Tensor ids = batch.ids;
    const at::Tensor token_mask =
        batch.mask.defined() ? batch.mask.to(ids.device()) : at::ones_like(ids).to(at::kBool);
    if (const int64_t longest = token_mask.sum(1).max().item<int64_t>(); longest > max_tokens())
      user_error("a text of {} tokens is longer than the model's {}", longest, max_tokens());
    const at::Tensor types = batch.types.defined() ? batch.types : at::zeros_like(ids);
    at::Tensor x = embedding(weights, embeddings + "word_embeddings", ids, "token id") +
                   embedding(weights, embeddings + "token_type_embeddings", types, "token type") +
                   embedding(weights, embeddings + "position_embeddings",
                             positions(ids, token_mask), "position");
    x = norm(weights, embeddings + "LayerNorm", x);
    AttentionMask mask;
    if (batch.mask.defined()) mask.allowed = token_mask.to(x.device()).unsqueeze(1).unsqueeze(2);
    for (const Block& block : blocks_) {
      const at::Tensor attended = attention(weights, block.name + "attention.", x, mask);
      x = norm(weights, block.name + "attention.output.LayerNorm", x + attended);
      x = norm(weights, block.name + "output.LayerNorm",
               x + block.feed_forward->forward(weights, x));
    }
    return x;
  }

  at::Tensor classify(const StateDict& weights, const EncoderBatch& batch) const override {
    if (config_.classes == 0)
      user_error(
          "this {} has no head for classification: its "
          "config.json names no ...ForSequenceClassification",
          json_.at("model_type").get<std::string>());
    // The first token that is not padding ([CLS]) represents the text.
    at::Tensor first = hidden(weights, batch);
    if (batch.mask.defined()) {
      const at::Tensor index = batch.mask.to(at::kInt).argmax(1).to(first.device());
      first = first.index({at::arange(first.size(0), index.options()), index});
    } else {
      first = first.select(1, 0);
    }
    return linear(weights, head_output(), at::tanh(linear(weights, head_dense(), first)));
  }

  bool predicts_tokens() const override { return config_.masked.has_value(); }
  at::Tensor token_logits(const StateDict& weights, const at::Tensor& hidden) const override {
    return config_.masked ? config_.masked->logits(weights, hidden)
                          : EncoderArchitecture::token_logits(weights, hidden);
  }

 private:
  struct Block {
    std::string name;
    std::unique_ptr<FeedForward> feed_forward;
  };

  std::vector<TensorInfo> block_tensors(const Block& block) const {
    std::vector<TensorInfo> all = block.feed_forward->tensors();
    for (const char* part : {"self.query", "self.key", "self.value", "output.dense"})
      add_linear(all, block.name + "attention." + part, config_.width, config_.width, true);
    add_norm(all, block.name + "attention.output.LayerNorm", config_.width, NormKind::kLayer);
    add_norm(all, block.name + "output.LayerNorm", config_.width, NormKind::kLayer);
    return all;
  }
  bool roberta() const { return config_.prefix == "roberta."; }
  std::string head_dense() const { return roberta() ? "classifier.dense" : "bert.pooler.dense"; }
  std::string head_output() const { return roberta() ? "classifier.out_proj" : "classifier"; }
  at::Tensor norm(const StateDict& weights, const std::string& name, const at::Tensor& x) const {
    return normalize(weights, name, x, NormKind::kLayer, config_.norm_epsilon);
  }
  /// Counted from the first token that is not padding. RoBERTa does not count the padding id, even
  /// within a text, and gives it the position equal to that id.
  at::Tensor positions(const at::Tensor& ids, const at::Tensor& token_mask) const {
    at::Tensor counted = token_mask;
    if (roberta()) counted = token_mask.logical_and(ids != config_.first_position - 1);
    return (counted.cumsum(1) * counted + config_.first_position - 1).clamp_min(0);
  }
  at::Tensor attention(const StateDict& weights, const std::string& name, const at::Tensor& x,
                       const AttentionMask& mask) const {
    const auto heads = [&](const char* part) {
      return linear(weights, name + part, x)
          .view({x.size(0), x.size(1), config_.heads, config_.head_size})
          .transpose(1, 2);
    };
    const at::Tensor out = attend(heads("self.query"), heads("self.key"), heads("self.value"), mask,
                                  {1 / std::sqrt(static_cast<double>(config_.head_size)), 0});
    return linear(weights, name + "output.dense", out);
  }

  BertConfig config_;
  Json json_;
  std::vector<Block> blocks_;
};

constexpr std::string_view kBertExample =
    R"({"vocab_size": 16, "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 16,
    "architectures": ["ForSequenceClassification"]})";

struct BertFamily {
  static constexpr std::string_view name = "bert";
  static constexpr std::string_view summary = "encoder with learned positions";
  static constexpr std::string_view paper = "Devlin et al., arXiv:1810.04805";
  static constexpr std::string_view example = kBertExample;
  static BertConfig read(ConfigFields& config) { return read_bert(config, "bert"); }
};

struct RobertaFamily {
  static constexpr std::string_view name = "roberta";
  static constexpr std::string_view summary = "BERT's architecture, trained longer";
  static constexpr std::string_view paper = "Liu et al., arXiv:1907.11692";
  static constexpr std::string_view example = kBertExample;
  static BertConfig read(ConfigFields& config) { return read_bert(config, "roberta"); }
};

ASSAY_FAMILY(BertFamily, Bert)
ASSAY_FAMILY(RobertaFamily, Bert)

}  // namespace

}  // namespace assay
