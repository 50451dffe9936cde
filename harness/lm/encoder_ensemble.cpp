#include <ATen/ATen.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/lm/encoder_predictor.h"

namespace assay {
namespace {

using Members = std::vector<std::shared_ptr<const EncoderPredictor>>;

template <typename Output>
at::Tensor mean_of(const Members& members, Output&& output) {
  at::Tensor sum = output(*members.front());
  for (size_t i = 1; i < members.size(); ++i) sum.add_(output(*members[i]));
  return sum.div_(static_cast<double>(members.size()));
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

EncoderEnsemble::EncoderEnsemble(Members members) : members_(std::move(members)) {
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
  return mean_of(members_, [&](const EncoderPredictor& member) { return member.classify(texts); });
}

at::Tensor EncoderEnsemble::similarities(const std::vector<EncoderText>& pairs) const {
  return mean_of(members_,
                 [&](const EncoderPredictor& member) { return member.similarities(pairs); });
}

Json EncoderEnsemble::report() const {
  Json reports = Json::array();
  for (const auto& member : members_) reports.push_back(member->report());
  return reports;
}

}  // namespace assay
