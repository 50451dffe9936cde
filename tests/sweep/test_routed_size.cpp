#include "harness/sweep/internal/routed_size.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "harness/sweep/internal/model_size.h"
#include "tests/catch.h"
#include "tests/methods/mixtures.h"

using namespace assay;
using namespace assay::testing;

namespace {

// Of small_llama_config(): of each of two blocks q and o 8 x 8, k and v 8 x 4 and three matrices
// 12 x 8; and the head of 16 tokens.
constexpr int64_t kBlock = 2 * (2 * 64 + 2 * 32 + 3 * 96), kHead = 2 * 16 * 8;
constexpr int64_t kDense = 2 * kBlock + kHead;

Json routed_config(Json options, const Json& member = small_llama_config()) {
  options["model_type"] = "assay_routed";
  options["member"] = member;
  return options;
}

/// Of all tensors that the config asks for.
ModelSize size_of_config(const Json& config) {
  const auto architecture = make_architecture(JsonReader(config, "test"));
  ForwardProfiles profiles;
  return model_size(*architecture, *source("model", architecture->initial_weights(1)), profiles);
}

int64_t count_values(const Json& config) {
  int64_t values = 0;
  for (const TensorInfo& info : make_architecture(JsonReader(config, "test"))->tensors())
    values += info.numel();
  return values;
}

}  // namespace

TEST_CASE("the members that answer are active in a routed ensemble", "[sweep][routed]") {
  const std::string shared = "model.embed_tokens.weight";
  const ModelSize size =
      size_of_config(routed_config({{"members", 3}, {"top_k", 2}, {"shared", {shared}}}));
  const int64_t member = count_values(small_llama_config()), embedding = 16 * 8;
  // Two members answer, and each of the three reads the prompt.
  CHECK(size == ModelSize{3 * member + embedding, 2 * (member - embedding) + embedding,
                          4 * (3 * member + embedding), 2 * kDense, 3 * kDense});
}

TEST_CASE("a router costs what its passes over the prompt do", "[sweep][routed]") {
  const auto router_flops = [](const char* router) {
    return size_of_config(routed_config({{"members", 2}, {"top_k", 1}, {"router", router}}))
        .router_flops;
  };
  CHECK(router_flops("perplexity") == 2 * kDense);
  CHECK(router_flops("task_vector_gradient") == 3 * kDense);  // of the base, there and back
  for (const char* router : {"sequence_embedding", "tfidf", "random", "uniform"})
    CHECK_FALSE(router_flops(router));
}

TEST_CASE("mixed layers have one head", "[sweep][routed]") {
  const ModelSize size = size_of_config(routed_config(
      {{"members", 3},
       {"router", "random"},
       {"mix", "layers"},
       {"shared", {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}}}));
  CHECK(size.flops == 2 * 2 * kBlock + kHead);
}

TEST_CASE("bodies of two widths lie between projectors and one head", "[sweep][routed]") {
  Json narrow = small_llama_config();
  narrow["hidden_size"] = 4;
  narrow["num_hidden_layers"] = 1;
  // q and o 4 x 4, k and v 4 x 2, three matrices 12 x 4.
  constexpr int64_t kNarrowBlock = 2 * (2 * 16 + 2 * 8 + 3 * 48);
  constexpr int64_t kWideProjectors = 2 * 2 * 8 * 8, kNarrowProjectors = 2 * 2 * 4 * 8;
  Json options{{"members", 2}, {"top_k", 2}, {"router", "random"}, {"mix", "hidden"}};
  const Json members = {small_llama_config(), narrow};
  const ModelSize both = size_of_config(routed_config(options, members));
  CHECK(both.flops == 2 * kBlock + kNarrowBlock + kWideProjectors + kNarrowProjectors + kHead);
  // All but the router's rows and the members' own embeddings and heads.
  CHECK(both.active == both.parameters - 2 * 8 - 2 * 16 * (8 + 4));
  options["top_k"] = 1;
  const ModelSize one = size_of_config(routed_config(options, members));  // the larger of them
  CHECK(one.flops == 2 * kBlock + kWideProjectors + kHead);
}

TEST_CASE("of a member that is a mixture the experts of a token are active", "[sweep][routed]") {
  const ModelSize member = size_of_config(small_mixtral_config());
  const ModelSize routed =
      size_of_config(routed_config({{"members", 2}, {"top_k", 1}}, small_mixtral_config()));
  CHECK(routed.active == member.active);
  CHECK(routed.flops == member.flops);
  CHECK(member.active < member.parameters);
}
