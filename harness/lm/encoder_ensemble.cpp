#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/lm/encoder_predictor.h"

namespace assay {
namespace {

using Members = std::vector<std::shared_ptr<const EncoderPredictor>>;

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

EncoderEnsemble::EncoderEnsemble(Members members, EnsembleRule rule)
    : members_(std::move(members)), rule_(rule) {
  ASSAY_CHECK(!members_.empty(), "an ensemble without members");
  for (const auto& member : members_) {
    if (member->classes() != classes())
      data_error("the experts of an ensemble have {} and {} classes", classes(), member->classes());
    // Permuted names: scores of different classes would be averaged. Other names tell nothing about
    // the order.
    if (member->class_names() != class_names() &&
        sorted(member->class_names()) == sorted(class_names()))
      data_error("the experts of an ensemble have the same classes in different orders");
  }
}

at::Tensor EncoderEnsemble::classify(const std::vector<EncoderText>& texts) const {
  std::vector<at::Tensor> scores;
  for (const auto& member : members_) scores.push_back(member->classify(texts));
  return combined_logits(rule_, scores);
}

at::Tensor EncoderEnsemble::similarities(const std::vector<EncoderText>& pairs) const {
  if (rule_ == EnsembleRule::kVotes)
    user_error("a majority vote is over classes, and this task asks for similarities");
  at::Tensor sum = members_.front()->similarities(pairs);
  for (size_t i = 1; i < members_.size(); ++i) sum.add_(members_[i]->similarities(pairs));
  return sum.div_(static_cast<double>(members_.size()));
}

Json EncoderEnsemble::report() const {
  Json reports = Json::array();
  for (const auto& member : members_) reports.push_back(member->report());
  return reports;
}

}  // namespace assay
