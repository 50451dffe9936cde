/// Encoders for tests: the tiny ones of tests/golden/models with a word tokenizer, and a fake one.
#pragma once

#include <ATen/ATen.h>

#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "harness/core/files.h"
#include "harness/lm/encoder_predictor.h"
#include "harness/model/open.h"
#include "tests/core/temporary_folder.h"

namespace assay {

/// tokenizer.json of the words t0 ... t31 with ids 0 ... 31; t2 and t3 enclose a text.
inline std::string word_tokenizer() {
  Json vocabulary = Json::object();
  for (int id = 0; id < 32; ++id) vocabulary[fmt::format("t{}", id)] = id;
  const Json json{
      {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "t1"}}},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor", {{"type", "BertProcessing"}, {"cls", {"t2", 2}}, {"sep", {"t3", 3}}}}};
  return json.dump();
}

/// The same without anything around a text.
inline std::string plain_word_tokenizer() {
  Json tokenizer = Json::parse(word_tokenizer());
  tokenizer.erase("post_processor");
  return tokenizer.dump();
}

inline std::shared_ptr<const Tokenizer> plain_words() {
  const TemporaryFolder folder;
  write_file(folder.path() / "tokenizer.json", plain_word_tokenizer());
  return Tokenizer::open(folder.path());
}

inline EncoderModel tiny_encoder(const std::string& family) {
  const TemporaryFolder folder;
  write_file(folder.path() / "tokenizer.json", word_tokenizer());
  OpenModel model = open_model(fs::path(ASSAY_TESTS_FOLDER) / "golden/models" / family, {});
  return {std::dynamic_pointer_cast<const EncoderArchitecture>(model.architecture),
          std::move(model.weights), at::kCPU, Tokenizer::open(folder.path())};
}

/// Texts such as "2.5 -1" state their own class scores. A pair's similarity is the first number of
/// the first text minus that of the second. Texts without numbers have NaN scores.
class FakeEncoder : public EncoderPredictor {
 public:
  explicit FakeEncoder(int64_t classes, std::vector<std::string> names = {})
      : classes_(classes), names_(std::move(names)) {}
  int64_t classes() const override { return classes_; }
  std::vector<std::string> class_names() const override { return names_; }
  at::Tensor classify(const std::vector<EncoderText>& texts) const override {
    at::Tensor scores = at::zeros({static_cast<int64_t>(texts.size()), classes_});
    for (size_t i = 0; i < texts.size(); ++i) {
      const std::vector<double> of_text =
          numbers(fmt::format("{} {}", texts[i].first, texts[i].second.value_or("")));
      if (of_text.empty()) scores[static_cast<int64_t>(i)].fill_(NAN);
      for (size_t k = 0; k < of_text.size(); ++k)
        scores[static_cast<int64_t>(i)][static_cast<int64_t>(k)] = of_text[k];
    }
    return scores;
  }
  at::Tensor similarities(const std::vector<EncoderText>& pairs) const override {
    std::vector<double> values;
    for (const EncoderText& pair : pairs)
      values.push_back(numbers(pair.first).at(0) - numbers(pair.second.value()).at(0));
    return at::tensor(values, at::kDouble);
  }
  Json report() const override { return Json(); }
  at::Device device() const override { return at::kCPU; }
  std::string what() const override { return "fake, an encoder"; }

 private:
  static std::vector<double> numbers(const std::string& text) {
    std::istringstream stream(text);
    std::vector<double> values;
    for (double value; stream >> value;) values.push_back(value);
    return values;
  }
  int64_t classes_;
  std::vector<std::string> names_;
};

}  // namespace assay
