#include "harness/lm/token_cache.h"

#include "tests/catch.h"
#include "tests/lm/fake_language_model.h"

using namespace assay;

namespace {

class CountingTokenizer : public CharacterTokenizer {
 public:
  using CharacterTokenizer::CharacterTokenizer;
  TokenIds encode(std::string_view text, bool special) const override {
    ++calls;
    return CharacterTokenizer::encode(text, special);
  }
  mutable int calls = 0;
};

}  // namespace

TEST_CASE("a text is tokenized once for all equal tokenizers", "[lm]") {
  const CountingTokenizer one(true), alike(true), other(false);
  TokenCache cache, empty;
  const TokenIds ids = cache.encode(one, "ab", true);

  CHECK(ids == TokenIds{'^', 'a', 'b'});
  CHECK(cache.encode(one, "ab", true) == ids);
  CHECK(cache.encode(alike, "ab", true) == ids);
  CHECK((one.calls == 1 && alike.calls == 0));
  CHECK(cache.encode(one, "ab", false) == TokenIds{'a', 'b'});
  CHECK(cache.encode(other, "ab", true) == TokenIds{'a', 'b'});
  CHECK(other.calls == 1);
  CHECK(empty.encode(alike, "ab", true) == ids);
  CHECK(alike.calls == 1);
}

TEST_CASE("models share the tokens of a common cache", "[lm]") {
  const auto tokenizer = std::make_shared<CountingTokenizer>();
  LanguageModel model = fake_model();
  model.tokenizer = tokenizer;
  const TextRequests requests{.likelihoods = {{"ab", "c", "here"}}};
  const auto tokens = std::make_shared<TokenCache>();

  LanguageEvaluator(model, tokens).answer(requests);
  const int once = tokenizer->calls;
  LanguageEvaluator(model, tokens).answer(requests);

  CHECK(once > 0);
  CHECK(tokenizer->calls == once);
}
