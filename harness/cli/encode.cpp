#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/cli/token_input.h"
#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/model/encoder.h"
#include "harness/model/open.h"
#include "harness/sweep/device.h"

namespace assay::cli {
namespace {

struct EncodeArguments {
  std::string folder, device = "auto", dtype, adapter, padding = "right";
  std::vector<std::string> texts, pairs, ids, types;
};

struct Inputs {
  std::vector<TokenIds> ids, types;
};

Inputs given_ids(const EncodeArguments& options) {
  if (!options.types.empty() && options.types.size() != options.ids.size())
    user_error("{} --types for {} --ids", options.types.size(), options.ids.size());
  Inputs inputs;
  for (const std::string& text : options.ids) {
    inputs.ids.push_back(parse_ids("--ids", text));
    inputs.types.emplace_back(inputs.ids.back().size());
  }
  for (size_t i = 0; i < options.types.size(); ++i) {
    inputs.types[i] = parse_ids("--types", options.types[i]);
    if (inputs.types[i].size() != inputs.ids[i].size())
      user_error("--types: {} types for {} ids", inputs.types[i].size(), inputs.ids[i].size());
  }
  return inputs;
}

Inputs tokenized(const EncodeArguments& options, const std::filesystem::path& folder,
                 int64_t max_tokens) {
  if (!options.pairs.empty() && options.pairs.size() != options.texts.size())
    user_error("{} --pair for {} --text", options.pairs.size(), options.texts.size());
  const auto tokenizer = Tokenizer::open(folder);
  const int64_t limit = std::min(max_tokens, tokenizer->max_length().value_or(max_tokens));
  Inputs inputs;
  for (size_t i = 0; i < options.texts.size(); ++i) {
    TokenizedInput tokens = options.pairs.empty()
                                ? tokenizer->input_template(false).apply(
                                      tokenizer->encode(options.texts[i], false), {}, limit)
                                : tokenizer->encode_pair(options.texts[i], options.pairs[i], limit);
    inputs.ids.push_back(std::move(tokens.ids));
    inputs.types.emplace_back(tokens.types.begin(), tokens.types.end());
  }
  return inputs;
}

std::vector<float> row_of(const at::Tensor& rows, int64_t row) {
  const at::Tensor values = rows[row].to(at::kCPU, at::kFloat).contiguous();
  const float* begin = values.const_data_ptr<float>();
  return {begin, begin + values.numel()};
}

void encode(const EncodeArguments& options) {
  if (options.texts.empty() == options.ids.empty())
    user_error("give texts to read with --text, or their token ids with --ids");
  if (!options.pairs.empty() && options.texts.empty())
    user_error(
        "--pair goes with --text: --ids contains both texts of a pair, and --types distinguishes "
        "them");
  if (!options.types.empty() && options.ids.empty())
    user_error("--types goes with --ids: the tokenizer sets the types of a --text");
  OpenOptions open;
  open.devices = {parse_device(options.device)};
  if (!options.dtype.empty()) open.dtype = dtype_from_name(options.dtype, "--dtype");
  const ModelPath path = named_model(options.folder, options.adapter);
  const OpenModel model = open_model(path, open);
  const auto* encoder = dynamic_cast<const EncoderArchitecture*>(model.architecture.get());
  if (!encoder)
    user_error("{} is not an encoder",
               model.architecture->config().at("model_type").get<std::string>());
  const Inputs inputs = options.ids.empty() ? tokenized(options, path.path, encoder->max_tokens())
                                            : given_ids(options);

  const c10::NoGradGuard no_gradients;
  const Padding padding = parse_padding(options.padding);
  for (const TokenIds& input_ids : inputs.ids)
    if (input_ids.empty()) user_error("nothing to read: an input has no tokens");
  const TokenBatch padded = padded_batch(inputs.ids, padding);
  EncoderBatch batch{padded.ids, padded_batch(inputs.types, padding).ids};
  if (padded.mask.defined()) batch.mask = padded.mask.select(1, 0);
  for (at::Tensor* part : {&batch.ids, &batch.types, &batch.mask})
    if (part->defined()) *part = part->to(open.devices.front());
  const at::Tensor embeddings = encoder->embed(model.weights, batch);
  const at::Tensor classes =
      encoder->classes() > 0 ? encoder->classify(model.weights, batch) : at::Tensor();
  for (int64_t row = 0; row < embeddings.size(0); ++row) {
    Json out{{"embedding", row_of(embeddings, row)}};
    if (classes.defined()) out["classes"] = row_of(classes, row);
    fmt::print("{}\n", out.dump());
  }
}

}  // namespace

void add_encode(CLI::App& app, const Common&) {
  auto options = std::make_shared<EncodeArguments>();
  CLI::App* command =
      app.add_subcommand("encode", "embeddings and class scores of texts from an encoder");
  command->footer(
      R"(Encodes all texts as one batch and prints a line of JSON for each: the mean of its
hidden states, and class scores where the model has a classification head.
Example: assay encode models/all-MiniLM-L6-v2 --text 'A cat sat.' --text 'A dog ran.')");
  command->add_option("FOLDER", options->folder, kModelHelp)->required();
  command->add_option("--text", options->texts, "text to read; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--pair", options->pairs, "second text of each --text")
      ->allow_extra_args(false);
  command->add_option("--ids", options->ids, "token ids to read, as in 1,15,7; may be repeated")
      ->allow_extra_args(false);
  command->add_option("--types", options->types, "token types of each --ids (default: all 0)")
      ->allow_extra_args(false);
  command->add_option("--adapter", options->adapter, kAdapterHelp);
  command->add_option("--dtype", options->dtype,
                      "float32, bfloat16 or float16 (default: float32 on the CPU)");
  command->add_option("--device", options->device, "auto, cpu or cuda[:INDEX]")
      ->capture_default_str();
  command->add_option("--padding", options->padding, "left or right, of shorter texts")
      ->capture_default_str();
  command->callback([options] { encode(*options); });
}

}  // namespace assay::cli
