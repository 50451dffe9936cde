#include <algorithm>
#include <limits>
#include <numeric>

#include "harness/sweep/search/algorithms.h"

namespace assay {
namespace {

class GreedySearch final : public Search {
 public:
  GreedySearch(const SearchSpec& spec, Json fixed, size_t num_experts)
      : list_(spec.space.front()),
        accept_equal_(spec.accept_equal),
        fixed_(std::move(fixed)),
        soup_(num_experts, false) {}

  std::vector<Json> ask() override {
    std::vector<Json> asked;
    if (trials().empty()) {
      for (size_t expert = 0; expert < soup_.size(); ++expert) asked.push_back(with({}, expert));
    } else if (next_ < ranking_.size()) {
      asked.push_back(with(soup_, ranking_[next_]));
    }
    return asked;
  }

  void tell(const std::vector<std::vector<double>>& merits) override {
    const bool ranking = trials().empty();
    record(ask(), merits);
    if (ranking) return rank();
    if (accepted(merit_of(trials().size() - 1))) {
      soup_[ranking_[next_]] = true;
      best_ = trials().size() - 1;
    }
    ++next_;
  }

  std::optional<size_t> best() const override {
    return trials().empty() || !trials()[best_].merit() ? std::nullopt : std::optional(best_);
  }

 private:
  // Of what has no score: worse than any.
  double merit_of(size_t trial) const {
    return trials()[trial].merit().value_or(-std::numeric_limits<double>::infinity());
  }

  void rank() {
    ranking_.resize(soup_.size());
    std::iota(ranking_.begin(), ranking_.end(), size_t{0});
    std::stable_sort(ranking_.begin(), ranking_.end(),
                     [&](size_t a, size_t b) { return merit_of(a) > merit_of(b); });
    best_ = ranking_.front();
    soup_[best_] = true;
    next_ = 1;
  }

  bool accepted(double merit) const {
    return merit > merit_of(best_) || (accept_equal_ && merit == merit_of(best_));
  }

  Json with(std::vector<bool> members, size_t expert) const {
    members.resize(soup_.size(), false);
    members[expert] = true;
    Json candidate = fixed_;
    for (const bool member : members)
      candidate[list_.name].push_back(member ? list_.range.high : list_.range.low);
    return candidate;
  }

  SearchedParameter list_;
  bool accept_equal_;
  Json fixed_;
  std::vector<bool> soup_;
  std::vector<size_t> ranking_;  ///< experts, the best first
  size_t next_ = 0;              ///< the place in it of the one to be added
  size_t best_ = 0;              ///< the trial of the soup so far
};

}  // namespace

std::unique_ptr<Search> greedy_search(const SearchSpec& spec, const Json& fixed,
                                      size_t num_experts) {
  return std::make_unique<GreedySearch>(spec, fixed, num_experts);
}

}  // namespace assay
