#include "methods/dense/sphere.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

namespace assay {

DotProducts dot_products_of_experts(const TensorParts& tensor) {
  const int n = static_cast<int>(tensor.num_experts());
  std::vector<std::pair<int, int>> pairs;
  std::vector<std::string> keys;
  for (int i = 0; i < n; ++i)
    for (int j = i; j < n; ++j) {
      pairs.emplace_back(i, j);
      keys.push_back("product " + tensor.pair_key(static_cast<size_t>(i), static_cast<size_t>(j)));
    }
  const auto products = tensor.cached<double>(keys, [&](const std::vector<size_t>& missing) {
    std::vector<int> needed;  // the experts of the missing pairs
    for (const size_t k : missing)
      for (const int i : {pairs[k].first, pairs[k].second})
        if (std::find(needed.begin(), needed.end(), i) == needed.end()) needed.push_back(i);
    std::sort(needed.begin(), needed.end());
    DotProducts total(static_cast<int>(needed.size()));
    tensor.for_each([&](const TensorJob& part) {
      std::vector<at::Tensor> experts;
      for (const int i : needed) experts.push_back(part.experts[static_cast<size_t>(i)]);
      total.add(dot_products(experts));
    });
    const auto place = [&](int i) {
      return static_cast<int>(std::find(needed.begin(), needed.end(), i) - needed.begin());
    };
    std::vector<double> values;
    for (const size_t k : missing)
      values.push_back(total(place(pairs[k].first), place(pairs[k].second)));
    return values;
  });
  DotProducts all(n);
  for (size_t k = 0; k < pairs.size(); ++k) all.add(pairs[k].first, pairs[k].second, products[k]);
  return all;
}

}  // namespace assay
