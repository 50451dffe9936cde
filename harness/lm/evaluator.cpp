#include "harness/lm/evaluator.h"

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
  // The number is the version of the rule that determines the scored tokens.
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

/// For both kinds of answer.
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
        return response_cache_for(model.weights_hash,
                                  computation_hash(*model.architecture, model.tokenizer.get()),
                                  model.weights, model.device);
      },
      any);
}

TextEncoder encoder_for(const AnyLanguageModel& any, const std::shared_ptr<TokenCache>& tokens) {
  return std::visit([&](const auto& model) { return TextEncoder(model, tokens); }, any);
}

/// Progress with the average throughput in tokens/s.
class Throughput {
 public:
  Throughput(std::string title, int64_t total) : progress_(std::move(title), total) {}
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

void count_truncation(int64_t dropped, EvaluatorUsage& usage) {
  usage.truncated += dropped > 0 ? 1 : 0;
  usage.dropped_tokens += dropped;
}

/// Requests of one kind without an answer in the cache, without duplicates.
template <typename Request>
std::vector<const Request*> uncached_requests(std::span<const TextRequests> all,
                                              std::vector<Request> TextRequests::*kind,
                                              const ResponseCache& cache, EvaluatorUsage& usage) {
  std::vector<const Request*> missing;
  std::set<std::string> seen;
  for (const TextRequests& requests : all)
    for (const Request& request : requests.*kind) {
      const std::string key = key_of(request);
      if (!seen.insert(key).second) continue;
      if (const Json* known = cache.find(key)) {
        ++usage.cached;
        count_truncation(dropped_tokens(*known), usage);
      } else {
        missing.push_back(&request);
      }
    }
  usage.requests += static_cast<int64_t>(missing.size());
  return missing;
}

/// Sequences to be scored, and the request that each belongs to.
struct ScoringPlan {
  struct ScoredRequest {
    std::string key;
    const std::string* where;
  };
  std::vector<ScoredSequence> sequences;
  std::vector<size_t> request_of;
  std::vector<ScoredRequest> scored;

  template <typename Request>
  void add(const Request& request, std::vector<ScoredSequence> of_request) {
    for (ScoredSequence& sequence : of_request) {
      sequences.push_back(std::move(sequence));
      request_of.push_back(scored.size());
    }
    scored.push_back({key_of(request), &request.where});
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
                                     const std::shared_ptr<TokenCache>& tokens)
    : LanguageEvaluator(model, BatchLimits::of(device_of(model)), tokens) {}

LanguageEvaluator::LanguageEvaluator(AnyLanguageModel model, BatchLimits limits,
                                     const std::shared_ptr<TokenCache>& tokens)
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
  for (const auto* request :
       uncached_requests(requests, &TextRequests::likelihoods, cache_, usage_))
    plan.add(*request, {encoder_.pair(*request)});
  for (const auto* request : uncached_requests(requests, &TextRequests::rolling, cache_, usage_))
    plan.add(*request, encoder_.windows(*request));
  if (plan.scored.empty()) return;

  std::optional<Throughput> throughput;
  const auto progress = [&](int64_t tokens, int64_t total) {
    if (!throughput) throughput.emplace("scoring, tokens", total);
    throughput->advance(tokens, tokens);
  };
  const auto scores = std::visit(
      [&](const auto& model) { return score_sequences(model, plan.sequences, limits_, progress); },
      model_);
  count_examples(plan.scored.size());

  std::vector<Likelihood> answers(plan.scored.size(), Likelihood{.greedy = true});
  for (size_t i = 0; i < scores.size(); ++i) {
    Likelihood& answer_of = answers[plan.request_of[i]];
    const ScoredSequence& sequence = plan.sequences[i];
    answer_of.log_likelihood += scores[i].log_likelihood;
    answer_of.greedy = answer_of.greedy && scores[i].greedy;
    answer_of.tokens += static_cast<int64_t>(sequence.tokens.size() - sequence.first);
    answer_of.dropped += sequence.dropped;
  }
  std::optional<size_t> bad;  // the first; finite answers are cached all the same
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!std::isfinite(answers[i].log_likelihood)) {
      bad = bad.value_or(i);
      continue;
    }
    usage_.scored_tokens += answers[i].tokens;
    count_truncation(answers[i].dropped, usage_);
    cache_.put(plan.scored[i].key, to_answer(answers[i]), *plan.scored[i].where);
  }
  cache_.save();
  if (bad)
    data_error("{}: the model's log-likelihood is {}, which is not finite",
               *plan.scored[*bad].where, answers[*bad].log_likelihood);
}

void LanguageEvaluator::generate(std::span<const TextRequests> requests) {
  std::vector<GenerationRequest> missing;
  std::vector<ScoredSequence> prompts;
  for (const auto* request :
       uncached_requests(requests, &TextRequests::generations, cache_, usage_)) {
    missing.push_back(*request);
    prompts.push_back(encoder_.prompt(*request));
  }
  if (missing.empty()) return;
  Throughput throughput("generating, requests", static_cast<int64_t>(missing.size()));
  const auto progress = [&](int64_t done, int64_t tokens) { throughput.advance(done, tokens); };
  const auto answers = std::visit(
      [&](const auto& model) {
        return generate_greedily(model, missing, prompts, limits_, progress);
      },
      model_);
  count_examples(missing.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    usage_.generated_tokens += answers[i].tokens;
    count_truncation(answers[i].dropped, usage_);
    cache_.put(key_of(missing[i]), to_answer(answers[i]), missing[i].where);
  }
  cache_.save();
}

Json LanguageEvaluator::report() const {
  return {{"requests", usage_.requests},
          {"known_answers", usage_.cached},
          {"scored_tokens", usage_.scored_tokens},
          {"generated_tokens", usage_.generated_tokens},
          {"max_length", encoder_.max_length()},
          {"too_long", "cut at the beginning"},
          {"shortened_requests", usage_.truncated},
          {"dropped_tokens", usage_.dropped_tokens}};
}

}  // namespace assay
