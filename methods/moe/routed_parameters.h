/// The parameters of routed_ensemble.
#pragma once

#include <cstdint>

#include "harness/method/method.h"
#include "harness/method/routed_ensemble.h"
#include "methods/moe/projectors.h"

namespace assay {

struct RoutedParameters {
  using Router = SequenceRouterKind;
  using Mix = MemberMix;
  enum class Own { kEverything, kLayers, kFeedForward };

  Router router = Router::kPerplexity;
  int64_t top_k = 2;
  double temperature = 1;
  Mix mix = Mix::kProbabilities;
  Own own = Own::kEverything;
  MethodComponent shared{"average"};
  Projectors projectors = Projectors::kWhereNeeded;
  bool ascent = false;
  int64_t opening = 32;
  bool base_expert = false;
  double weight_decay = 1e-3;
  int64_t batch = 256;

  void parameters(auto&& p) {
    p(router,
      {.name = "router",
       .choices = sequence_router_names(),
       .help = "what decides by a prompt: 1 / its perplexity under each expert; the cosine of task "
               "vectors and the gradient of the base's loss on it; that of its mean embedding and "
               "those of the experts' examples; that of its counts of tokens, weighted by their "
               "inverse document frequency; a logistic regression on these that has learned whose "
               "example a text is; chance; or all experts answer alike"});
    p(top_k, {.name = "top_k",
              .range = {1, 1024},
              .sweep = {1, 2},
              .help = "the experts that answer a sequence; all, of uniform"});
    p(temperature, {.name = "temperature",
                    .range = {1e-3, 1000},
                    .sweep = {0.01, 0.1, 1},
                    .help = "divides the router's scores before the softmax over those that "
                            "answer; but those of logistic they lie in [-1, 1], so that shares at "
                            "1 are much alike"});
    p(mix, {.name = "mix",
            .choices = member_mix_names(),
            .help = "what of those that answer is summed by their shares: their probabilities, "
                    "their log probabilities, which are then normalised, what their layers add to "
                    "one residual stream, or their last hidden states, projected to the widest "
                    "one's width, between an embedding and a head that 'shared' merges of theirs, "
                    "padded with zeros"});
    p(own, {.name = "own",
            .choices = {"everything", "layers", "feed_forward"},
            .help = "what an expert keeps to itself when it answers: all, its attention and "
                    "feed-forwards, or its feed-forwards; the rest is merged by 'shared'"});
    p(shared, {.name = "shared", .help = "the method that merges what experts do not keep"});
    p(projectors, {.name = "projectors",
                   .choices = {"where_needed", "identity", "random"},
                   .help = "of hidden: the identity where a member has the width of all, and "
                           "normal random numbers of variance 1 / columns for the others; the "
                           "identity's first rows or columns for those, too; or random for all"});
    p(ascent, {.name = "ascent",
               .help = "task_vector_gradient compares with the direction in which the loss rises, "
                       "as MergeME's formula reads with experts minus base"});
    p(opening, {.name = "opening",
                .range = {1, 1 << 20},
                .help = "of a text without a prompt, as for its perplexity: the tokens at its "
                        "beginning that all experts answer alike, and that decide about the rest"});
    p(base_expert,
      {.name = "base_expert", .help = "whether the base is one more expert, the last"});
    p(weight_decay, {.name = "weight_decay",
                     .range = {1e-9, 10},
                     .help = "of logistic: half of it times its squared rows is added to the loss; "
                             "the larger, the more alike are the shares"});
    p(batch, {.name = "batch",
              .range = {1, 4096},
              .help = "examples that a router reads at a time as it is made"});
  }
};

}  // namespace assay
