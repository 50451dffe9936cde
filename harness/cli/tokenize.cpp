#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "harness/checkpoint/gguf.h"
#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/cli/token_input.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/log.h"
#include "harness/core/regular_file.h"
#include "harness/core/standard_streams.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay::cli {
namespace {

struct TokenizeArguments {
  std::string folder;
  bool decode = false, special = false, json = false;
};

/// A byte tokenizer needs no files, so that any folder named by mistake would be accepted.
void check_folder(const fs::path& folder) {
  if (is_gguf_path(folder)) return;
  constexpr const char* kModelFiles[] = {"config.json", "tokenizer_config.json", "tokenizer.json",
                                         "tokenizer.model", "spiece.model"};
  if (std::none_of(std::begin(kModelFiles), std::end(kModelFiles),
                   [&](const char* name) { return file_exists(folder / name); }))
    data_error("'{}' is not a model folder: it has none of {}", folder.string(),
               fmt::join(kModelFiles, ", "));
}

void tokenize(const TokenizeArguments& options) {
  check_folder(options.folder);
  using Clock = std::chrono::steady_clock;
  // Not only a model's folder: an adapter's folder may contain its own tokenizer.
  const auto tokenizer = Tokenizer::open(std::filesystem::is_directory(options.folder)
                                             ? std::filesystem::path(options.folder)
                                             : named_model(options.folder).path);
  Clock::duration elapsed{};
  int64_t lines = 0;
  size_t tokens = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const std::string where = fmt::format("standard input, line {}", ++lines);
    TokenIds ids;
    std::string text = line;
    if (options.decode)
      ids = parse_ids(where, line);
    else if (options.json)
      text = JsonReader(parse_json(line, where), where).as_string();
    const auto begin = Clock::now();
    if (options.decode)
      text = tokenizer->decode(ids, !options.special);
    else
      ids = tokenizer->encode(text, options.special);
    elapsed += Clock::now() - begin;
    tokens += ids.size();
    if (!options.decode)
      fmt::print("{}\n", fmt::join(ids, " "));
    else if (options.json)
      fmt::print("{}\n", Json(text).dump());
    else
      fmt::print("{}\n", text);
  }
  check_standard_input();
  log_info("{} lines, {} tokens, {:.6f} s", lines, tokens,
           std::chrono::duration<double>(elapsed).count());
}

}  // namespace

void add_tokenize(CLI::App& app, const Common&) {
  auto options = std::make_shared<TokenizeArguments>();
  CLI::App* command = app.add_subcommand("tokenize", "token ids of lines of text, or text of ids");
  command->footer(R"(Reads standard input line by line and prints a line for each.
Examples: echo 'Hello world' | assay tokenize models/smollm2
          echo '19556 905' | assay tokenize models/smollm2 --decode)");
  command->add_option("FOLDER", options->folder, kModelHelp)->required();
  command->add_flag("--decode", options->decode, "lines are ids, separated by spaces");
  command->add_flag("--special", options->special,
                    "with special tokens around a text; decoding: show them");
  command->add_flag("--json", options->json,
                    "texts are JSON strings, which can contain line breaks");
  command->callback([options] { tokenize(*options); });
}

}  // namespace assay::cli
