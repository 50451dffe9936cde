#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/checkpoint/safetensors.h"
#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/cli/output_file.h"
#include "harness/cli/token_input.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/model/generate.h"
#include "harness/model/open.h"
#include "harness/model/sequence_to_sequence.h"
#include "harness/sweep/device.h"
#include "harness/tokenizer/chat_template.h"

namespace assay::cli {
namespace {

constexpr std::string_view kLogits = "logits.";  // prefix of the prompt's index

struct GenerateArguments {
  std::string folder, device = "auto", dtype, adapter, logits, system, padding = "left";
  std::vector<std::string> ids, prompts;
  int64_t tokens = 64;
  bool chat = false, no_cache = false, json = false;
};

/// The logits of every prompt's tokens, [tokens, vocabulary], or of an encoder-decoder's first
/// decoder token, [vocabulary]; float32, named by the prompt's index.
StateDict prompt_logits(const OpenModel& model, const std::vector<TokenIds>& prompts,
                        Padding padding) {
  const c10::NoGradGuard no_gradients;
  StateDict out;
  for (size_t i = 0; i < prompts.size(); ++i) {
    // In one batch with the other prompts, as in generation.
    const TokenBatch batch = padded_batch(prompts, padding);
    const auto row = static_cast<int64_t>(i);
    const auto length = static_cast<int64_t>(prompts[i].size());
    at::Tensor logits;
    if (const auto* decoder = dynamic_cast<const LanguageArchitecture*>(model.architecture.get())) {
      const at::Tensor hidden = decoder->hidden(model.weights, batch, nullptr)[row];
      const int64_t first = padding == Padding::kLeft ? hidden.size(0) - length : 0;
      logits = decoder->vocabulary_logits(model.weights, hidden.narrow(0, first, length));
    } else {
      logits = model.architecture->logits(model.weights, padded_batch({prompts[i]}, padding).ids)
                   .squeeze(0);
    }
    out[fmt::format("{}{}", kLogits, i)] = logits.to(at::kCPU, at::kFloat).contiguous();
  }
  return out;
}

/// The ids of the prompts; as users' messages of chats where asked for.
std::vector<TokenIds> encode_prompts(const GenerateArguments& options, const fs::path& model,
                                     const Tokenizer& tokenizer) {
  std::optional<ChatTemplate> chat;
  if (options.chat) chat = ChatTemplate::open(model);
  if (!chat && !options.system.empty())
    user_error("--system: a system's message needs --apply-chat-template");
  std::vector<TokenIds> prompts;
  for (const std::string& text : options.prompts) {
    if (!chat) {
      prompts.push_back(tokenizer.encode(text, true));
      continue;
    }
    std::vector<ChatMessage> messages{{"user", text}};
    if (!options.system.empty()) messages.insert(messages.begin(), {"system", options.system});
    // The template writes the special tokens itself.
    prompts.push_back(tokenizer.encode(chat->apply(messages, true), false));
  }
  return prompts;
}

/// Each prompt by the members that it decides for.
std::vector<TokenIds> run_routed(const RoutedModel& model, const std::vector<TokenIds>& prompts,
                                 const GenerateOptions& generation) {
  std::vector<TokenIds> generated;
  for (const TokenIds& prompt : prompts) {
    const LanguageModel answering =
        model.architecture->mixed(model, model.architecture->decide(model.weights, prompt));
    generated.push_back(
        generate(*answering.architecture, answering.weights, {prompt}, generation).front());
  }
  return generated;
}

std::vector<TokenIds> run(const OpenModel& model, const std::vector<TokenIds>& prompts,
                          const GenerateOptions& generation) {
  if (const auto* decoder = dynamic_cast<const LanguageArchitecture*>(model.architecture.get()))
    return generate(*decoder, model.weights, prompts, generation);
  if (const auto* encoder_decoder =
          dynamic_cast<const SequenceToSequenceArchitecture*>(model.architecture.get()))
    return generate(*encoder_decoder, model.weights, prompts, generation);
  if (auto routed = std::dynamic_pointer_cast<const RoutedArchitecture>(model.architecture)) {
    const at::Device device = model.weights.begin()->second.device();
    return run_routed({std::move(routed), model.weights, device, nullptr, ""}, prompts, generation);
  }
  user_error("{} generates no text",
             model.architecture->config().at("model_type").get<std::string>());
}

// False when it is not a valid safetensors file.
bool contains_logits(const fs::path& path) try {
  const auto file = SafetensorsFile::open(path);
  const auto& tensors = file->tensors();
  return !tensors.empty() &&
         std::all_of(tensors.begin(), tensors.end(), [](const TensorInfo& tensor) {
           return tensor.name.starts_with(kLogits) && tensor.dtype == at::kFloat &&
                  tensor.name.find_first_not_of("0123456789", kLogits.size()) == std::string::npos;
         });
} catch (const DataError&) {
  return false;
}

void generate_text(const GenerateArguments& options) {
  const OutputKind logits{"file of logits", contains_logits};
  if (!options.logits.empty()) check_output_file(options.logits, logits);
  if (options.ids.empty() == options.prompts.empty())
    user_error("give texts to continue with --prompt, or their token ids with --ids");
  OpenOptions open;
  open.devices = parse_devices(options.device);
  if (!options.dtype.empty()) open.dtype = dtype_from_name(options.dtype, "--dtype");
  GenerateOptions generation;
  generation.max_new_tokens = options.tokens;
  generation.use_cache = !options.no_cache;
  generation.padding = parse_padding(options.padding);

  std::vector<TokenIds> prompts;
  for (const std::string& text : options.ids) prompts.push_back(parse_ids("--ids", text));
  std::shared_ptr<const Tokenizer> tokenizer;
  const ModelPath path = named_model(options.folder, options.adapter);
  if (!options.prompts.empty()) {
    tokenizer = Tokenizer::open(path.path);
    generation.stop_ids = tokenizer->end_ids();
    prompts = encode_prompts(options, path.path, *tokenizer);
  }
  const OpenModel model = open_model(path, open);
  const bool keeps_eos =
      dynamic_cast<const SequenceToSequenceArchitecture*>(model.architecture.get()) != nullptr;
  if (tokenizer && !keeps_eos && !options.chat)
    for (TokenIds& ids : prompts)
      ids.resize(ids.size() - std::min(ids.size(), tokenizer->ends_after_text()));
  if (!options.logits.empty())
    write_output_file(options.logits,
                      safetensors_bytes(prompt_logits(model, prompts, generation.padding)), logits);
  Json out = Json::array();
  for (const TokenIds& ids : run(model, prompts, generation)) {
    out.push_back({{"ids", ids}});
    if (tokenizer) out.back()["text"] = tokenizer->decode(ids, true);
    if (options.json) continue;
    if (tokenizer)
      fmt::print("{}\n", out.back()["text"].get<std::string>());
    else
      fmt::print("{}\n", fmt::join(ids, ","));
  }
  if (options.json) fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

void add_generate(CLI::App& app, const Common&) {
  auto options = std::make_shared<GenerateArguments>();
  CLI::App* command =
      app.add_subcommand("generate", "continue texts with a language model (greedy decoding)");
  command->footer(R"(Example: assay generate models/SmolLM2-135M --prompt 'Once upon a time')");
  command->add_option("FOLDER", options->folder, kModelHelp)->required();
  command->add_option("--prompt", options->prompts, "text to continue; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--ids", options->ids, "token ids to continue, as in 1,15,7; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--apply-chat-template", options->chat,
                    "write each prompt as the user's message of a chat, with the model's template");
  command->add_option("--system", options->system, "the system's message of these chats");
  command->add_option("--tokens", options->tokens, "maximum number of new tokens")
      ->capture_default_str();
  command->add_option("--logits", options->logits,
                      "also write the prompts' logits to this safetensors file; an existing file "
                      "is replaced only if it is a file of logits");
  command->add_option("--adapter", options->adapter, kAdapterHelp);
  command->add_option("--dtype", options->dtype,
                      "float32, bfloat16 or float16 (default: float32 on the CPU)");
  command->add_option("--device", options->device, kDevicesHelp)->capture_default_str();
  command->add_option("--padding", options->padding, "left or right, of shorter prompts")
      ->capture_default_str();
  command->add_flag("--no-cache", options->no_cache, "recompute the whole text for every token");
  command->add_flag("--json", options->json, "print JSON");
  command->callback([options] { generate_text(*options); });
}

}  // namespace assay::cli
