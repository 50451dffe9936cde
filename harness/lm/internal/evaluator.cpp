#include "harness/lm/internal/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>

#include "harness/core/cost.h"
#include "harness/core/error.h"
#include "harness/core/hash.h"
#include "harness/core/log.h"
#include "harness/lm/internal/generation.h"
#include "harness/model/open.h"

namespace assay {
namespace {

std::string key_of(const LikelihoodRequest& request) {
  return Hasher().text("likelihood").text(request.context).text(request.continuation).hex();
}

std::string key_of(const RollingRequest& request) {
  const auto window = static_cast<uint64_t>(request.window);
  // The number is that of the rule, which says what is scored.
  return Hasher()
      .text(request.repeat_bos ? "rolling 2, BOS repeated" : "rolling 2")
      .text(request.text)
      .number(window)
      .hex();
}

std::string key_of(const GenerationRequest& request) {
  Hasher hasher;
  hasher.text("generation").text(request.context).number(static_cast<uint64_t>(request.max_tokens));
  for (const std::string& stop : request.stop) hasher.text(stop);
  return hasher.hex();
}

Json to_answer(const Likelihood& value) {
  return Json::array({value.log_likelihood, value.greedy, value.tokens, value.dropped});
}

Json to_answer(const Generation& value) {
  return Json::array({value.text, value.tokens, value.stopped, value.dropped});
}

/// Of either kind of answer.
int64_t dropped_tokens(const Json& answer) { return answer.at(3).get<int64_t>(); }

void from_answer(const Json& json, Likelihood& value) {
  value = {json.at(0).get<double>(), json.at(1).get<bool>(), json.at(2).get<int64_t>(),
           json.at(3).get<int64_t>()};
}

void from_answer(const Json& json, Generation& value) {
  value = {json.at(0).get<std::string>(), json.at(1).get<int64_t>(), json.at(2).get<bool>(),
           json.at(3).get<int64_t>()};
}

ResponseCache cache_for(const AnyLanguageModel& any) {
  return std::visit(
      [](const auto& model) {
        return kept_answers(model.weights_hash,
                            computation_hash(*model.architecture, model.tokenizer.get()),
                            model.weights, model.device);
      },
      any);
}

TextEncoder encoder_for(const AnyLanguageModel& any, const std::shared_ptr<TokenCache>& tokens) {
  return std::visit([&](const auto& model) { return TextEncoder(model, tokens); }, any);
}

/// Progress with the speed since the beginning.
class Speed {
 public:
  Speed(std::string title, int64_t total) : progress_(std::move(title), total) {}
  void advance(int64_t steps, int64_t tokens) {
    tokens_ += tokens;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - started_;
    progress_.advance(
        steps, fmt::format("{:.0f} tokens/s", static_cast<double>(tokens_) / passed.count()));
  }

 private:
  Progress progress_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  int64_t tokens_ = 0;
};

void note_length(int64_t dropped, LanguageUse& use) {
  use.shortened += dropped > 0 ? 1 : 0;
  use.dropped_tokens += dropped;
}

/// Requests of one kind whose answer is not known yet, each once.
template <typename Request>
std::vector<const Request*> unanswered(std::span<const TextRequests> all,
                                       std::vector<Request> TextRequests::*kind,
                                       const ResponseCache& cache, LanguageUse& use) {
  std::vector<const Request*> missing;
  std::set<std::string> seen;
  for (const TextRequests& requests : all)
    for (const Request& request : requests.*kind) {
      const std::string key = key_of(request);
      if (!seen.insert(key).second) continue;
      if (const Json* known = cache.find(key)) {
        ++use.known;
        note_length(dropped_tokens(*known), use);
      } else {
        missing.push_back(&request);
      }
    }
  use.requests += static_cast<int64_t>(missing.size());
  return missing;
}

/// Sequences to be scored, and which request each is a part of.
struct ScoringPlan {
  struct Part {
    std::string key;
    const std::string* where;
  };
  std::vector<ScoredSequence> sequences;
  std::vector<size_t> part_of;
  std::vector<Part> parts;

  template <typename Request>
  void add(const Request& request, std::vector<ScoredSequence> of_request) {
    for (ScoredSequence& sequence : of_request) {
      sequences.push_back(std::move(sequence));
      part_of.push_back(parts.size());
    }
    parts.push_back({key_of(request), &request.where});
  }
};

template <typename Request, typename Answer>
void collect(const std::vector<Request>& requests, const ResponseCache& cache,
             std::vector<Answer>& answers) {
  answers.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    from_answer(*cache.find(key_of(requests[i])), answers[i]);
}

}  // namespace

LanguageEvaluator::LanguageEvaluator(const AnyLanguageModel& model,
                                     std::shared_ptr<TokenCache> tokens)
    : LanguageEvaluator(model, BatchLimits::of(device_of(model)), std::move(tokens)) {}

LanguageEvaluator::LanguageEvaluator(AnyLanguageModel model, BatchLimits limits,
                                     std::shared_ptr<TokenCache> tokens)
    : model_(std::move(model)),
      limits_(limits),
      encoder_(encoder_for(model_, tokens)),
      cache_(cache_for(model_)) {}

TextResponses LanguageEvaluator::answer(const TextRequests& requests) {
  return std::move(answer({&requests, 1}).front());
}

std::vector<TextResponses> LanguageEvaluator::answer(std::span<const TextRequests> requests) {
  score(requests);
  generate(requests);
  std::vector<TextResponses> responses(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    collect(requests[i].likelihoods, cache_, responses[i].likelihoods);
    collect(requests[i].rolling, cache_, responses[i].rolling);
    collect(requests[i].generations, cache_, responses[i].generations);
  }
  return responses;
}

void LanguageEvaluator::count_examples(size_t requests) const {
  const int64_t members =
      std::visit([](const auto& model) { return model.architecture->members(); }, model_);
  counters::examples += static_cast<int64_t>(requests) * members;
}

void LanguageEvaluator::score(std::span<const TextRequests> requests) {
  ScoringPlan plan;
  for (const auto* request : unanswered(requests, &TextRequests::likelihoods, cache_, use_))
    plan.add(*request, {encoder_.pair(*request)});
  for (const auto* request : unanswered(requests, &TextRequests::rolling, cache_, use_))
    plan.add(*request, encoder_.windows(*request));
  if (plan.parts.empty()) return;

  std::optional<Speed> speed;
  const auto progress = [&](int64_t tokens, int64_t total) {
    if (!speed) speed.emplace("scoring, tokens", total);
    speed->advance(tokens, tokens);
  };
  const auto scores = std::visit(
      [&](const auto& model) { return score_sequences(model, plan.sequences, limits_, progress); },
      model_);
  count_examples(plan.parts.size());

  std::vector<Likelihood> answers(plan.parts.size(), Likelihood{.greedy = true});
  for (size_t i = 0; i < scores.size(); ++i) {
    Likelihood& answer_of = answers[plan.part_of[i]];
    const ScoredSequence& sequence = plan.sequences[i];
    answer_of.log_likelihood += scores[i].log_likelihood;
    answer_of.greedy = answer_of.greedy && scores[i].greedy;
    answer_of.tokens += static_cast<int64_t>(sequence.tokens.size() - sequence.first);
    answer_of.dropped += sequence.dropped;
  }
  std::optional<size_t> bad;  // the others' answers are kept
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!std::isfinite(answers[i].log_likelihood)) {
      bad = bad.value_or(i);
      continue;
    }
    use_.scored_tokens += answers[i].tokens;
    note_length(answers[i].dropped, use_);
    cache_.put(plan.parts[i].key, to_answer(answers[i]), *plan.parts[i].where);
  }
  cache_.save();
  if (bad)
    data_error("{}: the model's log-likelihood is {}, which is not finite", *plan.parts[*bad].where,
               answers[*bad].log_likelihood);
}

void LanguageEvaluator::generate(std::span<const TextRequests> requests) {
  std::vector<GenerationRequest> missing;
  std::vector<ScoredSequence> prompts;
  for (const auto* request : unanswered(requests, &TextRequests::generations, cache_, use_)) {
    missing.push_back(*request);
    prompts.push_back(encoder_.prompt(*request));
  }
  if (missing.empty()) return;
  Speed speed("generating, requests", static_cast<int64_t>(missing.size()));
  const auto progress = [&](int64_t done, int64_t tokens) { speed.advance(done, tokens); };
  const auto answers = std::visit(
      [&](const auto& model) {
        return generate_greedily(model, missing, prompts, limits_, progress);
      },
      model_);
  count_examples(missing.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    use_.generated_tokens += answers[i].tokens;
    note_length(answers[i].dropped, use_);
    cache_.put(key_of(missing[i]), to_answer(answers[i]), missing[i].where);
  }
  cache_.save();
}

Json LanguageEvaluator::report() const {
  return {{"requests", use_.requests},
          {"known_answers", use_.known},
          {"scored_tokens", use_.scored_tokens},
          {"generated_tokens", use_.generated_tokens},
          {"max_length", encoder_.max_length()},
          {"too_long", "cut at the beginning"},
          {"shortened_requests", use_.shortened},
          {"dropped_tokens", use_.dropped_tokens}};
}

}  // namespace assay
