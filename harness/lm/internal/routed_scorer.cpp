/// Scoring and generation of routed ensembles: sequences of one decision go together.
#include <algorithm>
#include <map>

#include "harness/lm/internal/generation.h"
#include "harness/lm/internal/scorer.h"

namespace assay {
namespace {

using Shares = std::vector<double>;

/// Decides about each prompt once.
class Decisions {
 public:
  explicit Decisions(const RoutedModel& model) : model_(model) {}
  const Shares& of(const TokenIds& prompt) {
    const auto [place, is_new] = known_.try_emplace(prompt);
    if (is_new) place->second = model_.architecture->decide(model_.weights, prompt);
    return place->second;
  }

 private:
  const RoutedModel& model_;
  std::map<TokenIds, Shares> known_;
};

/// Sequences of one decision, and which of all they are parts of.
struct Routed {
  std::vector<ScoredSequence> sequences;
  std::vector<size_t> of;
};

TokenIds beginning(const TokenIds& tokens, size_t count) {
  return {tokens.begin(), tokens.begin() + static_cast<int64_t>(count)};
}

std::map<Shares, Routed> by_decision(const RoutedModel& model,
                                     const std::vector<ScoredSequence>& sequences) {
  Decisions decisions(model);
  std::map<Shares, Routed> routed;
  const auto add = [&](const Shares& shares, ScoredSequence part, size_t of) {
    Routed& same = routed[shares];
    same.sequences.push_back(std::move(part));
    same.of.push_back(of);
  };
  const auto opening = static_cast<size_t>(model.architecture->opening());
  for (size_t i = 0; i < sequences.size(); ++i) {
    const ScoredSequence& sequence = sequences[i];
    size_t prompt = sequence.first;
    if (!sequence.has_prompt && prompt < opening) {
      prompt = std::min(opening, sequence.tokens.size());
      add(model.architecture->equal_shares(), {beginning(sequence.tokens, prompt), sequence.first},
          i);
    }
    if (prompt == sequence.tokens.size()) continue;
    add(decisions.of(beginning(sequence.tokens, prompt)), {sequence.tokens, prompt}, i);
  }
  return routed;
}

}  // namespace

std::vector<SequenceScore> score_sequences(const RoutedModel& model,
                                           const std::vector<ScoredSequence>& sequences,
                                           const BatchLimits& limits,
                                           const ScoringProgress& progress) {
  std::vector<SequenceScore> scores(sequences.size());
  const std::map<Shares, Routed> routed = by_decision(model, sequences);
  int64_t total = 0;
  for (const auto& [shares, same] : routed)
    for (const ScoredSequence& part : same.sequences)
      total += static_cast<int64_t>(part.tokens.size());
  ScoringProgress of_all;
  if (progress) {
    progress(0, total);
    of_all = [&](int64_t tokens, int64_t) { progress(tokens, total); };
  }
  for (const auto& [shares, same] : routed) {
    const LanguageModel answering = model.architecture->mixed(model, shares);
    const std::vector<SequenceScore> found =
        score_sequences(answering, same.sequences, limits, of_all);
    for (size_t i = 0; i < found.size(); ++i) {
      SequenceScore& score = scores[same.of[i]];
      score.log_likelihood += found[i].log_likelihood;
      score.greedy = score.greedy && found[i].greedy;
    }
  }
  return scores;
}

std::vector<Generation> generate_greedily(const RoutedModel& model,
                                          const std::vector<GenerationRequest>& requests,
                                          const std::vector<ScoredSequence>& prompts,
                                          const BatchLimits& limits,
                                          const GenerationProgress& progress) {
  Decisions decisions(model);
  std::map<Shares, std::vector<size_t>> routed;
  for (size_t i = 0; i < prompts.size(); ++i) routed[decisions.of(prompts[i].tokens)].push_back(i);
  std::vector<Generation> generations(requests.size());
  for (const auto& [shares, same] : routed) {
    std::vector<GenerationRequest> own_requests;
    std::vector<ScoredSequence> own_prompts;
    for (const size_t i : same) {
      own_requests.push_back(requests[i]);
      own_prompts.push_back(prompts[i]);
    }
    const std::vector<Generation> found = generate_greedily(
        model.architecture->mixed(model, shares), own_requests, own_prompts, limits, progress);
    for (size_t i = 0; i < same.size(); ++i) generations[same[i]] = found[i];
  }
  return generations;
}

}  // namespace assay
