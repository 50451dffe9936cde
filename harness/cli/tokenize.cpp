#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <iostream>
#include <sstream>

#include "harness/cli/commands.h"
#include "harness/cli/named_model.h"
#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/log.h"
#include "harness/tokenizer/tokenizer.h"

namespace assay::cli {
namespace {

struct Options {
  std::string folder;
  bool decode = false, special = false, json = false;
};

TokenIds read_ids(const std::string& line, int64_t number) {
  TokenIds ids;
  std::istringstream words(line);
  for (TokenId id = 0; words >> id;) ids.push_back(id);
  if (!words.eof()) user_error("standard input, line {}: expected ids, found \"{}\"", number, line);
  return ids;
}

void tokenize(const Options& options) {
  using Clock = std::chrono::steady_clock;
  // Any folder will do: an adapter's may hold a tokenizer of its own.
  const auto tokenizer = Tokenizer::open(std::filesystem::is_directory(options.folder)
                                             ? std::filesystem::path(options.folder)
                                             : named_model(options.folder).path);
  Clock::duration busy{};
  int64_t lines = 0;
  size_t tokens = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const std::string where = fmt::format("standard input, line {}", ++lines);
    TokenIds ids;
    std::string text = line;
    if (options.decode)
      ids = read_ids(line, lines);
    else if (options.json)
      text = JsonReader(parse_json(line, where), where).as_string();
    const auto begin = Clock::now();
    if (options.decode)
      text = tokenizer->decode(ids, !options.special);
    else
      ids = tokenizer->encode(text, options.special);
    busy += Clock::now() - begin;
    tokens += ids.size();
    if (!options.decode)
      fmt::print("{}\n", fmt::join(ids, " "));
    else if (options.json)
      fmt::print("{}\n", Json(text).dump());
    else
      fmt::print("{}\n", text);
  }
  log_info("{} lines, {} tokens, {:.6f} s", lines, tokens,
           std::chrono::duration<double>(busy).count());
}

}  // namespace

void add_tokenize(CLI::App& app, const Common&) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("tokenize", "token ids of lines of text, or text of ids");
  command->footer(R"(Reads standard input line by line and prints a line for each.
Examples: echo 'Hello world' | assay tokenize models/smollm2
          echo '19556 905' | assay tokenize models/smollm2 --decode)");
  command->add_option("FOLDER", options->folder, kModelHelp)->required();
  command->add_flag("--decode", options->decode, "lines are ids, separated by spaces");
  command->add_flag("--special", options->special,
                    "with the tokens that the model puts around a text; decoding: show them");
  command->add_flag("--json", options->json,
                    "texts are JSON strings, which can hold the end of a line");
  command->callback([options] { tokenize(*options); });
}

}  // namespace assay::cli
