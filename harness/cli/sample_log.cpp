#include "harness/cli/sample_log.h"

#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/metrics.h"

namespace assay::cli {
namespace {

/// Numbers of answers that belong to earlier items of the task.
struct Position {
  size_t likelihoods = 0, rolling = 0, generations = 0;
};

Json answers_of(const TextRequests& requests, const TextResponses& answers, Position& at) {
  Json all = Json::array();
  for (const LikelihoodRequest& request : requests.likelihoods) {
    const Likelihood& answer = answers.likelihoods.at(at.likelihoods++);
    Json entry{{"continuation", request.continuation},
               {"log_likelihood", answer.log_likelihood},
               {"greedy", answer.greedy},
               {"tokens", answer.tokens}};
    if (request.context.empty()) entry["without_prompt"] = true;
    all.push_back(std::move(entry));
  }
  for (size_t i = 0; i < requests.rolling.size(); ++i) {
    const Likelihood& answer = answers.rolling.at(at.rolling++);
    all.push_back({{"log_likelihood", answer.log_likelihood}, {"tokens", answer.tokens}});
  }
  for (size_t i = 0; i < requests.generations.size(); ++i) {
    const Generation& answer = answers.generations.at(at.generations++);
    all.push_back({{"text", answer.text}, {"tokens", answer.tokens}, {"stopped", answer.stopped}});
  }
  return all;
}

}  // namespace

Json requests_to_json(const ItemRequests& item) {
  Json json{{"where", item.where}};
  std::vector<std::string> prompts = item.texts, continuations;
  const auto add_prompt = [&](const std::string& prompt) {
    if (prompts.empty() || prompts.back() != prompt) prompts.push_back(prompt);
  };
  const auto& likelihoods = item.requests.likelihoods;
  const bool has_prompt = std::any_of(likelihoods.begin(), likelihoods.end(),
                                      [](const auto& request) { return !request.context.empty(); });
  for (const LikelihoodRequest& request : likelihoods) {
    if (request.context.empty() && has_prompt)
      continue;  // a request of acc_mutual_info, without prompt
    add_prompt(request.context);
    continuations.push_back(request.continuation);
  }
  for (const RollingRequest& request : item.requests.rolling) add_prompt(request.text);
  for (const GenerationRequest& request : item.requests.generations) {
    add_prompt(request.context);
    json["stop"] = request.stop;
    json["max_tokens"] = request.max_tokens;
  }
  json["prompt"] = prompts.size() == 1 ? Json(prompts.front()) : Json(prompts);
  if (!continuations.empty()) json["continuations"] = continuations;
  if (item.requests.rolling.empty()) json["target"] = item.target;
  if (item.choice) json["right_choice"] = *item.choice;
  return json;
}

std::string SampleLog::lines(const std::vector<std::shared_ptr<const Task>>& tasks, Split split,
                             const std::vector<ScoreRecord>& scores) const {
  std::string text;
  for (const auto& task : tasks) {
    std::vector<const ScoreRecord*> task_scores;
    for (const ScoreRecord& score : scores)
      if (score.task == task->name()) task_scores.push_back(&score);
    if (task_scores.empty()) continue;
    const auto answers = answers_.find(task->name());
    Position at;
    size_t number = 0;
    for (const ItemRequests& item : task->item_requests(split)) {
      Json line{{"task", task->name()}, {"split", split_name(split)}, {"item", number + 1}};
      line.update(requests_to_json(item));
      if (answers != answers_.end())
        line["answers"] = answers_of(item.requests, answers->second, at);
      line["metrics"] = Json::object();
      for (const ScoreRecord* score : task_scores)
        if (is_mean_of_items(score->metric))
          line["metrics"][score->metric] = static_cast<double>(score->outcomes.at(number));
      text += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      ++number;
    }
  }
  return text;
}

}  // namespace assay::cli
