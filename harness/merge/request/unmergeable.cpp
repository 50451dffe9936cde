#include "harness/merge/request/unmergeable.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string_view>

#include "harness/checkpoint/model_config.h"
#include "harness/core/error.h"
#include "harness/merge/preflight.h"
#include "harness/merge/request/roles.h"

namespace assay {
namespace {

// Suffixes of the names of tensors that accompany quantised weights, or replace them.
constexpr std::string_view kQuantised[] = {
    ".absmax",  ".quant_map",     ".nested_absmax", ".SCB",          ".weight_format",
    ".qweight", ".qzeros",        ".weight_packed", ".weight_scale", ".weight_scale_inv",
    ".g_idx",   "_blocks_packed", ".W_q",           ".codebooks",    ".qweight_type"};
constexpr std::string_view kBitsandbytes = ".quant_state.bitsandbytes__";

// Parts of the names of an adapter's factors, in peft's and in kohya's files.
constexpr std::string_view kFactors[] = {
    ".lora_A.",  ".lora_B.",    ".lora_embedding_A",     ".lora_embedding_B",
    ".lora_up.", ".lora_down.", ".lora_magnitude_vector"};

bool has_quantised_name(const std::string& name) {
  return name.find(kBitsandbytes) != std::string::npos ||
         std::any_of(std::begin(kQuantised), std::end(kQuantised),
                     [&](std::string_view end) { return name.ends_with(end); });
}

bool is_float8(at::ScalarType dtype) {
  return c10::isFloatingType(dtype) && c10::elementSize(dtype) == 1;
}

// With a quantization_config, integers of two dimensions are packed weights, whatever their names.
bool is_packed(const TensorInfo& info) {
  return c10::isIntegralType(info.dtype, /*includeBool=*/false) && info.shape.size() >= 2 &&
         !is_buffer(info);
}

const Json* quantization_config(const Json& config) {
  for (const Json* part : {&config, &text_config(config)})
    if (part->is_object())
      for (const char* key : {"quantization_config", "compression_config"})
        if (const auto it = part->find(key); it != part->end() && it->is_object() && !it->empty())
          return &*it;
  return nullptr;
}

std::string quantization_name(const Json* config) {
  if (!config) return "";
  const auto method = config->find("quant_method");
  if (method != config->end() && method->is_string())
    return fmt::format(" ({})", method->get<std::string>());
  return config->contains("load_in_4bit") ? " (bitsandbytes)" : "";
}

/// The first tensor with the property; nullptr when there is none.
template <typename Predicate>
const TensorInfo* first_tensor(const TensorSource& source, const Predicate& is) {
  const auto& infos = source.tensors();
  const auto it = std::find_if(infos.begin(), infos.end(), is);
  return it == infos.end() ? nullptr : &*it;
}

}  // namespace

std::vector<std::string> refuse_unmergeable(const std::vector<MergeModel>& models) {
  std::vector<std::string> notes, problems;
  const auto add = [](std::vector<std::string>& to, std::string text) {
    if (std::find(to.begin(), to.end(), text) == to.end()) to.push_back(std::move(text));
  };
  for (const MergeModel& model : models) {
    const TensorSource& source = *model.source;
    if (const TensorInfo* factor = first_tensor(source, [](const TensorInfo& info) {
          return std::any_of(std::begin(kFactors), std::end(kFactors), [&](std::string_view part) {
            return info.name.find(part) != std::string::npos;
          });
        })) {
      add(problems, fmt::format("{} is a LoRA adapter and no model: it holds factors such as "
                                "'{}', and means of factors are not the factors of a mean; "
                                "merge the adapter into its base first (peft's "
                                "merge_and_unload), or name the adapter's folder next to its base",
                                source.label(), factor->name));
      continue;
    }
    const Json* config = quantization_config(model.config);
    const TensorInfo* quantised = first_tensor(source, [&](const TensorInfo& info) {
      return is_float8(info.dtype) || has_quantised_name(info.name) || (config && is_packed(info));
    });
    if (quantised)
      add(problems,
          fmt::format("{} is quantised{}: tensor '{}' of dtype {} holds no plain weights, and "
                      "packed weights and their scales cannot be merged one by one; use the "
                      "model before it was quantised, or dequantise it first (transformers' "
                      "model.dequantize() and save_pretrained())",
                      source.label(), quantization_name(config), quantised->name,
                      dtype_name(quantised->dtype)));
    else if (config)
      add(notes,
          fmt::format("{}: config.json has a quantization_config{}, but no tensor is quantised; "
                      "programs will take the result for quantised unless the key is removed",
                      source.label(), quantization_name(config)));
  }
  refuse(problems);
  return notes;
}

}  // namespace assay
