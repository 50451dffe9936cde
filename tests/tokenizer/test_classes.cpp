// What transformers' tokenizer classes make of flags and of files that contradict each other; made
// by scripts/peers/tokenizer_classes.py.
#include "harness/core/json.h"
#include "harness/tokenizer/tokenizer.h"
#include "tests/catch.h"
#include "tests/tokenizer/stages.h"

using namespace assay;

namespace {

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

}  // namespace

TEST_CASE("tokenizers of many classes and flags give transformers' ids", "[tokenizer]") {
  const Json golden = read_json(fs::path(ASSAY_TESTS_FOLDER) / "golden/tokenizer/classes.json");
  const auto texts = golden["texts"].get<Texts>();
  for (const Json& row : golden["rows"]) {
    std::map<std::string, std::string> files;
    std::string about;
    for (const auto& [name, content] : row[0].items()) {
      const auto text = golden["files"][content.get<std::string>()].get<std::string>();
      files[name] = name.ends_with(".model") ? from_hex(text) : text;
      about += name.starts_with("tokenizer.") ? content.get<std::string>() + "\n" : text + "\n";
    }
    INFO(about);
    const auto tokenizer = TokenizerFolder(files).open();
    const std::optional<TokenId> named[] = {tokenizer->bos(), tokenizer->eos(), tokenizer->pad(),
                                            tokenizer->unknown()};
    for (size_t i = 0; i < 3; ++i)
      CHECK(named[i] ==
            (row[1][i].is_null() ? std::nullopt : std::optional(row[1][i].get<TokenId>())));
    for (size_t i = 0; i < texts.size(); ++i) {
      INFO("text " << Json(texts[i]));
      CHECK(tokenizer->encode(texts[i], true) == row[2][i][0].get<TokenIds>());
      CHECK(tokenizer->encode(texts[i], false) == row[2][i][1].get<TokenIds>());
    }
  }
}
