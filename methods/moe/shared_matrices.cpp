#include "methods/moe/shared_matrices.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay {

std::vector<SharedMatrix> different_matrices(const std::vector<MixtureLayer>& layers,
                                             const StateDict& model) {
  std::vector<SharedMatrix> all;
  for (const MixtureLayer& layer : layers) {
    const size_t first = all.size();
    for (const auto& tensors : layer.tensors)
      for (const std::string& tensor : tensors) {
        const at::Tensor& values = model.at(tensor);
        const auto known = std::find_if(
            all.begin() + static_cast<std::ptrdiff_t>(first), all.end(),
            [&](const SharedMatrix& other) { return at::equal(other.values, values); });
        if (known == all.end())
          all.push_back({{tensor}, values});
        else
          known->tensors.push_back(tensor);
      }
  }
  return all;
}

}  // namespace assay
