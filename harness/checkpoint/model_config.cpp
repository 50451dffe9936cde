#include "harness/checkpoint/model_config.h"

#include <algorithm>
#include <string_view>

#include "harness/core/error.h"

namespace assay {
namespace {

// Keys under which composite configs nest their language model's config.
constexpr const char* kTextParts[] = {"text_config", "llm_config", "language_config"};
constexpr const char* kTie = "tie_word_embeddings";
constexpr const char* kVocabSize = "vocab_size";
constexpr const char* kLayerCounts[] = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"};
// Lists of an entry per layer.
constexpr const char* kPerLayer[] = {"layer_types",       "mlp_layer_types",  "no_rope_layers",
                                     "layers_block_type", "attention_layers", "block_configs"};

// Model types whose head is tied to the embedding by default: those with a text head whose
// configuration class in transformers 5.24 has tie_word_embeddings true.
constexpr std::string_view kTiedByDefault[] = {"albert",
                                               "aya_vision",
                                               "bart",
                                               "bert",
                                               "bert-generation",
                                               "big_bird",
                                               "bigbird_pegasus",
                                               "biogpt",
                                               "blenderbot",
                                               "blenderbot-small",
                                               "bloom",
                                               "camembert",
                                               "cohere",
                                               "cohere2",
                                               "cohere2_moe",
                                               "cohere2_vision",
                                               "convbert",
                                               "ctrl",
                                               "data2vec-text",
                                               "deberta",
                                               "deberta-v2",
                                               "distilbert",
                                               "electra",
                                               "ernie",
                                               "ernie4_5",
                                               "ernie4_5_moe",
                                               "ernie4_5_vl_moe",
                                               "ernie4_5_vl_moe_text",
                                               "esm",
                                               "falcon",
                                               "falcon_mamba",
                                               "flaubert",
                                               "florence2",
                                               "fnet",
                                               "funnel",
                                               "gemma",
                                               "gemma2",
                                               "gemma3",
                                               "gemma3_text",
                                               "gemma3n",
                                               "gemma3n_text",
                                               "gemma4",
                                               "gemma4_text",
                                               "got_ocr2",
                                               "gpt-sw3",
                                               "gpt2",
                                               "gpt_bigcode",
                                               "gpt_neo",
                                               "gpt_neox_japanese",
                                               "ibert",
                                               "jetmoe",
                                               "layoutlm",
                                               "led",
                                               "lfm2",
                                               "lfm2_moe",
                                               "lfm2_vl",
                                               "longformer",
                                               "longt5",
                                               "luke",
                                               "lxmert",
                                               "m2m_100",
                                               "mamba",
                                               "marian",
                                               "mbart",
                                               "megatron-bert",
                                               "mobilebert",
                                               "modernbert",
                                               "modernbert-decoder",
                                               "mpnet",
                                               "mpt",
                                               "mra",
                                               "mt5",
                                               "mvp",
                                               "nllb-moe",
                                               "nomic_bert",
                                               "nystromformer",
                                               "openai-gpt",
                                               "opt",
                                               "paligemma",
                                               "pegasus",
                                               "pegasus_x",
                                               "plbart",
                                               "prophetnet",
                                               "qwen3_asr",
                                               "recurrent_gemma",
                                               "roberta",
                                               "roberta-prelayernorm",
                                               "roc_bert",
                                               "roformer",
                                               "shieldgemma2",
                                               "smollm3",
                                               "speech_to_text",
                                               "squeezebert",
                                               "starcoder2",
                                               "switch_transformers",
                                               "t5",
                                               "t5gemma",
                                               "t5gemma2",
                                               "tapas",
                                               "trocr",
                                               "udop",
                                               "umt5",
                                               "vaultgemma",
                                               "visual_bert",
                                               "whisper",
                                               "xglm",
                                               "xlm",
                                               "xlm-roberta",
                                               "xlm-roberta-xl",
                                               "xlnet",
                                               "xmod",
                                               "yoso",
                                               "youtu",
                                               "zamba",
                                               "zamba2"};

std::optional<bool> stated_tie(const Json& config) {
  const auto it = config.is_object() ? config.find(kTie) : config.end();
  if (it == config.end() || !it->is_boolean()) return std::nullopt;
  return it->get<bool>();
}

bool tied_by_default(const Json& config) {
  const auto type = config.is_object() ? config.find("model_type") : config.end();
  return type != config.end() && type->is_string() &&
         std::find(std::begin(kTiedByDefault), std::end(kTiedByDefault),
                   type->get_ref<const std::string&>()) != std::end(kTiedByDefault);
}

/// The number of layers of one part of a config.
const char* layer_count_key(const Json& part) {
  for (const char* key : kLayerCounts)
    if (part.is_object() && part.contains(key) && part[key].is_number_integer()) return key;
  return nullptr;
}

/// The part of the config that holds its language model's fields.
Json& mutable_text_config(Json& config) {
  for (const char* key : kTextParts)
    if (config.is_object() && config.contains(key) && config[key].is_object()) return config[key];
  return config;
}

}  // namespace

const Json& text_config(const Json& config) {
  if (config.is_object())
    for (const char* key : kTextParts)
      if (const auto part = config.find(key); part != config.end() && part->is_object())
        return *part;
  return config;
}

std::optional<bool> ties_embeddings(const Json& config) {
  const Json& text = text_config(config);
  if (const auto top = stated_tie(config)) return top;
  if (const auto nested = stated_tie(text)) return nested;
  if (tied_by_default(text) || tied_by_default(config)) return true;
  return std::nullopt;
}

std::vector<int64_t> vocab_sizes(const Json& config) {
  std::vector<int64_t> sizes;
  for (const Json* part : {&config, &text_config(config)}) {
    const auto it = part->is_object() ? part->find(kVocabSize) : part->end();
    if (it != part->end() && it->is_number_integer()) sizes.push_back(it->get<int64_t>());
  }
  return sizes;
}

void set_vocab_size(Json& config, int64_t rows) {
  if (!config.is_object()) return;
  bool set = false;
  for (const char* key : kTextParts)
    if (config.contains(key) && config[key].is_object() && config[key].contains(kVocabSize)) {
      config[key][kVocabSize] = rows;
      set = true;
    }
  if (!set || config.contains(kVocabSize)) config[kVocabSize] = rows;
}

std::optional<int64_t> layer_count(const Json& config) {
  const Json& text = text_config(config);
  const char* key = layer_count_key(text);
  if (!key || text.value("is_encoder_decoder", Json(false)) == Json(true)) return std::nullopt;
  return text[key].get<int64_t>();
}

void set_layers(Json& config, const std::vector<LayerOrigin>& layers) {
  Json& text = mutable_text_config(config);
  const char* count_key = layer_count_key(text);
  if (!count_key) return;
  const auto before = text[count_key].get<int64_t>();
  text[count_key] = layers.size();
  for (const char* key : kPerLayer) {
    if (!text.contains(key) || !text[key].is_array() || std::ssize(text[key]) != before) continue;
    Json list = Json::array();
    for (const auto& [of, layer] : layers) {
      const Json& origin = text_config(*of);
      const auto entries = origin.find(key);
      if (entries == origin.end() || !entries->is_array() || layer >= std::ssize(*entries))
        data_error(
            "config.json of one model lists '{}' and that of another has no entry for its "
            "layer {}",
            key, layer);
      list.push_back((*entries)[static_cast<size_t>(layer)]);
    }
    text[key] = std::move(list);
  }
}

}  // namespace assay
