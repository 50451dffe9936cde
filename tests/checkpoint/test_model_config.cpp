#include "harness/checkpoint/model_config.h"

#include "tests/catch.h"

using namespace assay;

TEST_CASE("ties follow the config, its text_config, then the architecture's default",
          "[checkpoint]") {
  CHECK(ties_embeddings({{"tie_word_embeddings", false}, {"model_type", "gemma2"}}) == false);
  CHECK(ties_embeddings({{"model_type", "gemma2"}}) == true);
  CHECK(ties_embeddings({{"model_type", "gpt2"}}) == true);
  CHECK(ties_embeddings({{"model_type", "t5"}}) == true);
  CHECK_FALSE(ties_embeddings({{"model_type", "llama"}}).has_value());
  CHECK_FALSE(ties_embeddings(nullptr).has_value());
  const Json text = {{"model_type", "qwen2"}, {"tie_word_embeddings", true}};
  CHECK(ties_embeddings({{"model_type", "internvl"}, {"text_config", text}}) == true);
  CHECK(ties_embeddings({{"text_config", {{"model_type", "gemma"}}}}) == true);
}

TEST_CASE("a vocabulary's size is read and written where the config has it", "[checkpoint]") {
  Json nested = {{"text_config", {{"vocab_size", 5}}}}, flat = {{"vocab_size", 7}};
  CHECK(vocab_sizes(nested) == std::vector<int64_t>{5});
  CHECK(vocab_sizes(nullptr).empty());

  set_vocab_size(nested, 3);
  set_vocab_size(flat, 3);
  CHECK(nested == Json{{"text_config", {{"vocab_size", 3}}}});
  CHECK(flat == Json{{"vocab_size", 3}});
}
