#include "harness/lm/encoding.h"

#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

std::string text_of(const ScoredSequence& sequence) {
  return std::string(sequence.tokens.begin(), sequence.tokens.end());
}

// "context|scored".
std::string split_text(const ScoredSequence& sequence) {
  const std::string text = text_of(sequence);
  return fmt::format("{}|{}", text.substr(0, sequence.first), text.substr(sequence.first));
}

std::string split_pair(const LanguageModel& model, const std::string& context,
                       const std::string& continuation) {
  return split_text(TextEncoder(model).pair({context, continuation, "here"}));
}

// Joins "in" to one token, so that a context's last letter can become a part of it.
class JoiningTokenizer : public CharacterTokenizer {
 public:
  TokenIds encode(std::string_view text, bool) const override {
    TokenIds ids;
    for (size_t i = 0; i < text.size(); ++i) {
      const bool joined = text.substr(i, 2) == "in";
      ids.push_back(joined ? '#' : text[i]);
      i += joined ? 1 : 0;
    }
    return ids;
  }
  std::string hash() const override { return "joining"; }
};

}  // namespace

TEST_CASE("white space between context and continuation is scored", "[lm]") {
  const LanguageModel model = fake_model();
  CHECK(split_pair(model, "Answer:", " yes") == "Answer:| yes");
  CHECK(split_pair(model, "Answer: ", "yes") == "Answer:| yes");
  CHECK(split_pair(model, "Answer:\n \t", "yes") == "Answer:|\n \tyes");
}

TEST_CASE("an empty context is BOS", "[lm]") {
  const LanguageModel model = fake_model();
  CHECK(split_pair(model, "", "yes") == "^|yes");
  CHECK(split_pair(model, "", "^yes") == "^|yes");  // no second BOS
  CHECK(split_pair(model, "  ", "yes") == "^|  yes");
}

TEST_CASE("a tokenizer's own BOS is not repeated", "[lm]") {
  const LanguageModel model = fake_model(64, true);
  CHECK(split_pair(model, "Q", "a") == "^Q|a");
  CHECK(split_pair(model, "^Q", "a") == "^Q|a");
  CHECK(split_pair(model, "", "a") == "^|a");
}

TEST_CASE("a tokenizer's EOS is removed from contexts and prompts", "[lm]") {
  LanguageModel model = fake_model();
  model.tokenizer = std::make_shared<CharacterTokenizer>(true, true, true);
  CHECK(split_pair(model, "Q", "a") == "^Q|a");
  CHECK(split_pair(model, "", "a") == "^|a");
  CHECK(text_of(TextEncoder(model).prompt({"Q", {}, 4, "here"})) == "^Q");
}

TEST_CASE("rolling windows begin with one BOS, or as lm-evaluation-harness counts", "[lm]") {
  LanguageModel model = fake_model();
  const auto window = [&](const std::string& text, bool repeat) {
    return split_text(TextEncoder(model).windows({text, 0, "here", repeat}).at(0));
  };
  CHECK(window("ab", true) == "^|ab");
  model.tokenizer = std::make_shared<CharacterTokenizer>(true, true, true);
  CHECK(window("ab", false) == "^|ab");
  CHECK(window("^ab", false) == "^|ab");
  CHECK(window("ab", true) == "^|^ab$");
  CHECK(window("^ab", true) == "^|^ab");  // the text starts with BOS: no special tokens are added
}

TEST_CASE("the continuation is what follows as many tokens as the context has", "[lm]") {
  LanguageModel model = fake_model();
  model.tokenizer = std::make_shared<JoiningTokenizer>();
  // "bi" has 2 tokens, "bind" is b # d: the first two are the context.
  CHECK(split_pair(model, "bi", "nd") == "bi|d");
  CHECK_THROWS_WITH(split_pair(model, "bi", "n"), Contains("no tokens"));
}

TEST_CASE("sequences that are too long are truncated at the beginning", "[lm]") {
  const LanguageModel model = fake_model(6);
  // The last token is predicted only: 6 positions suffice for 7 tokens.
  const ScoredSequence cut = TextEncoder(model).pair({"abcdefgh", "xyz", "here"});
  CHECK(split_text(cut) == "efgh|xyz");
  CHECK(cut.dropped == 4);
  CHECK(split_pair(model, "abcdefgh", "uvwxyz") == "h|uvwxyz");
  CHECK_THROWS_WITH(split_pair(model, "abc", "tuvwxyz"),
                    Contains("here") && Contains("7 tokens") && Contains("at most 6"));
}

TEST_CASE("texts that cannot be scored are refused", "[lm]") {
  const LanguageModel model = fake_model();
  CHECK_THROWS_WITH(split_pair(model, "abc", "~~"), Contains("here") && Contains("'~~'"));
  CHECK_THROWS_WITH(split_pair(model, "", ""), Contains("no tokens"));

  LanguageModel small = fake_model();
  small.architecture = std::make_shared<FakeArchitecture>(64, 100);
  CHECK_THROWS_WITH(split_pair(small, "abc", "xyz"),
                    Contains("id 120 ('x')") && Contains("vocabulary has 100"));

  LanguageModel beginless = fake_model();
  beginless.tokenizer = std::make_shared<CharacterTokenizer>(false, false);
  CHECK(split_pair(beginless, "a", "b") == "a|b");
  CHECK_THROWS_WITH(split_pair(beginless, "", "b"), Contains("neither a BOS nor an EOS"));
}

TEST_CASE("rolling windows score every token once", "[lm]") {
  const LanguageModel model = fake_model(4);
  std::vector<std::string> windows;
  for (const ScoredSequence& window : TextEncoder(model).windows({"0123456789", 0, "here"}))
    windows.push_back(split_text(window));
  // The example of lm-evaluation-harness: 4 + 4 + 2.
  CHECK(windows == std::vector<std::string>{"^|0123", "3|4567", "567|89"});
  CHECK(TextEncoder(model).windows({"012", 0, "here"}).size() == 1);
  CHECK(TextEncoder(model).windows({"0123", 2, "here"}).size() == 2);
  CHECK_THROWS_WITH(TextEncoder(model).windows({"~~", 0, "here"}),
                    Contains("here") && Contains("no tokens"));
  CHECK_THROWS_AS(TextEncoder(model).windows({"0123", 5, "here"}), DataError);
}

TEST_CASE("a prompt is truncated so that the generated tokens fit", "[lm]") {
  const LanguageModel model = fake_model(10);
  CHECK(text_of(TextEncoder(model).prompt({"0123456789", {}, 4, "here"})) == "456789");
  CHECK(text_of(TextEncoder(model).prompt({"", {}, 4, "here"})) == "^");
  CHECK_THROWS_AS(TextEncoder(model).prompt({"0", {}, 10, "here"}), DataError);
}
