#include "methods/permute/zip.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <map>

namespace assay {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr int64_t kMixed = -1;

class Zip {
 public:
  Zip(const at::Tensor& similarities, int64_t units, int64_t models, const ZipOptions& options)
      : values_(similarities.to(at::kDouble).cpu().contiguous().clone()),
        size_(units * models),
        units_(units),
        options_(options),
        alive_(static_cast<size_t>(size_), true),
        best_(static_cast<size_t>(size_), 0),
        group_(static_cast<size_t>(size_)),
        budgets_(static_cast<size_t>(models), budget(size_ - units, models, options.beta)) {
    for (int64_t i = 0; i < size_; ++i) {
      group_[static_cast<size_t>(i)] = i;
      origin_.push_back(i / units);
    }
  }

  ZippedUnits run() {
    for (int64_t i = 0; i < size_; ++i) find_best(i);
    double sum = 0;
    for (int64_t left = size_; left > units_; --left) {
      int64_t first = 0;
      double highest = kNever;
      for (int64_t i = 0; i < size_; ++i)
        if (alive(i) && value(i, best(i)) > highest) {
          highest = value(i, best(i));
          first = i;
        }
      if (highest == kNever) {  // all that is left is banned: budgets end
        std::fill(budgets_.begin(), budgets_.end(), size_);
        for (int64_t i = 0; i < size_; ++i)
          if (alive(i)) find_best(i);
        ++left;
        continue;
      }
      sum += highest;
      merge(std::min(first, best(first)), std::max(first, best(first)));
    }
    return {numbered(), sum / static_cast<double>(size_ - units_)};
  }

 private:
  /// The merges within a network; the small term as in published code.
  static int64_t budget(int64_t removed, int64_t models, double beta) {
    const int64_t of_each = removed / models;
    return static_cast<int64_t>(static_cast<double>(of_each) * beta + 1e-4);
  }
  bool alive(int64_t i) const { return alive_[static_cast<size_t>(i)]; }
  int64_t best(int64_t i) const { return best_[static_cast<size_t>(i)]; }
  /// The similarity of two columns, as far as they may be merged.
  double value(int64_t i, int64_t j) const {
    if (i == j) return kNever;
    const int64_t origin = origin_[static_cast<size_t>(i)];
    if (origin != kMixed && origin == origin_[static_cast<size_t>(j)] &&
        budgets_[static_cast<size_t>(origin)] == 0)
      return kNever;
    return values_.data_ptr<double>()[i * size_ + j];
  }
  void find_best(int64_t i) {
    int64_t found = i;
    double highest = kNever;
    for (int64_t j = 0; j < size_; ++j)
      if (j != i && alive(j) && value(i, j) > highest) {
        highest = value(i, j);
        found = j;
      }
    best_[static_cast<size_t>(i)] = found;
  }
  void merge(int64_t kept, int64_t gone) {
    const auto k = static_cast<size_t>(kept), g = static_cast<size_t>(gone);
    const int64_t origin = origin_[k];
    bool ended = false;
    if (origin != kMixed && origin == origin_[g])
      ended = --budgets_[static_cast<size_t>(origin)] == 0;
    else
      origin_[k] = kMixed;
    alive_[g] = false;
    for (int64_t& one : group_)
      if (one == gone) one = kept;
    double* values = values_.data_ptr<double>();
    for (int64_t j = 0; j < size_; ++j) {
      const double lower = std::min(values[kept * size_ + j], values[gone * size_ + j]);
      values[kept * size_ + j] = values[j * size_ + kept] =
          lower > 0 ? lower * options_.alpha : lower;
    }
    for (int64_t j = 0; j < size_; ++j)
      if (alive(j) && (ended || j == kept || best(j) == kept || best(j) == gone))
        find_best(j);
      else if (alive(j) && value(j, kept) > value(j, best(j)))
        best_[static_cast<size_t>(j)] = kept;
  }
  std::vector<int64_t> numbered() const {
    std::map<int64_t, int64_t> numbers;
    for (int64_t i = 0; i < size_; ++i)
      if (alive(i)) numbers.emplace(i, static_cast<int64_t>(numbers.size()));
    std::vector<int64_t> groups;
    for (const int64_t one : group_) groups.push_back(numbers.at(one));
    return groups;
  }

  at::Tensor values_;
  int64_t size_, units_;
  ZipOptions options_;
  std::vector<bool> alive_;
  std::vector<int64_t> best_;     ///< the most alike other column
  std::vector<int64_t> group_;    ///< the column that each unit is in
  std::vector<int64_t> budgets_;  ///< merges within each network that are left
  std::vector<int64_t> origin_;   ///< the network that a column is of
};

}  // namespace

ZippedUnits zip_units(const at::Tensor& similarities, int64_t units, int64_t models,
                      const ZipOptions& options) {
  return Zip(similarities, units, models, options).run();
}

}  // namespace assay
