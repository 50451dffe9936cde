/// The parameters of moe.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/method/method.h"
#include "harness/method/router.h"

namespace assay {

struct MoeParameters {
  enum class Rest { kMerged, kBase };
  enum class FeedForwards { kOwn, kBase };
  enum class Form { kAuto, kMixtral, kDeepseek, kQwen2Moe, kQwen3Moe };
  enum class SharedExpert { kNone, kBase, kLast };
  enum class SharedGate { kRouter, kZero };

  MethodComponent shared{"average"};
  Rest rest = Rest::kMerged;
  RouterComponent router{"random"};
  int64_t top_k = 2;
  bool base_expert = false;
  FeedForwards feed_forwards = FeedForwards::kOwn;
  Form form = Form::kAuto;
  SharedExpert shared_expert = SharedExpert::kNone;
  SharedGate shared_gate = SharedGate::kRouter;
  std::vector<double> noise_scales;
  std::vector<double> residual_scales;

  void parameters(auto&& p) {
    p(shared, {.name = "shared", .help = "the method that merges all but the feed-forwards"});
    p(rest, {.name = "rest",
             .choices = {"merged", "base"},
             .help = "what is no feed-forward: merged by 'shared', or the base's"});
    p(router, {.name = "router", .help = "what makes the gates"});
    p(top_k, {.name = "top_k",
              .range = {1, 1024},
              .sweep = {1, 2},
              .help = "the experts that a token is sent to"});
    p(base_expert, {.name = "base_expert",
                    .help = "whether the base is one more expert, the last, and takes part in what "
                            "is merged"});
    p(feed_forwards, {.name = "feed_forwards",
                      .choices = {"experts", "base"},
                      .help = "what becomes the experts of every block: the models' feed-forwards, "
                              "or the base's in the place of each"});
    p(form, {.name = "form",
             .choices = {"auto", "mixtral", "deepseek", "qwen2_moe", "qwen3_moe"},
             .help = "the family whose form the mixture has; auto: the models' own, and of Llama "
                     "and Mistral Mixtral's, or DeepSeek's with a shared expert"});
    p(shared_expert, {.name = "shared_expert",
                      .choices = {"none", "base", "last"},
                      .help = "the model whose feed-forwards every token is sent to in addition: "
                              "the base, or the last expert, which is then none of those that "
                              "tokens are routed to. Qwen 2's form has one, DeepSeek's may"});
    p(shared_gate, {.name = "shared_gate",
                    .choices = {"router", "zero"},
                    .help = "the gate that Qwen 2's shared expert has: made by the router as one "
                            "more row, or zero, which halves the expert's output"});
    p(noise_scales, {.name = "noise_scales",
                     .range = {0, 1000},
                     .help = "standard deviation of normal noise that is added to an expert's "
                             "feed-forwards, as in mergekit-moe; a value per expert"});
    p(residual_scales, {.name = "residual_scales",
                        .range = {-1000, 1000},
                        .help = "what an expert's down-projections are multiplied with, as in "
                                "mergekit-moe; a value per expert"});
  }
};

}  // namespace assay
