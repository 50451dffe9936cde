/// Methods that write the task vectors of a matrix in coordinates that all experts share, and let
/// another method merge these.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/method/method.h"
#include "methods/spectral/matrices.h"

namespace assay {

/// The task vectors of one tensor: left times coordinates times right^T. An undefined side is the
/// identity.
struct Coordinates {
  std::vector<at::Tensor> experts;  ///< float32 matrices of one shape
  at::Tensor left, right;
  at::Tensor mask{};  ///< multiplies what is made of the coordinates; undefined: 1

  /// The task vector with these coordinates.
  at::Tensor restored(const at::Tensor& coordinates) const;
};
using MakeCoordinates = std::function<Coordinates(const TensorJob& job)>;

struct CoordinateMerge {
  /// Of tensors that are no matrices.
  enum class Rest { kMethod, kMean, kBase };

  CoordinateMerge(std::string method, double factor, Rest rest)
      : of(std::move(method)), scale(factor), others(rest) {}

  MethodComponent of;
  double scale;
  Rest others;
  MatrixRule matrices{};

  void parameters(auto&& p) {
    p(of, {.name = "of",
           .help = "the method that merges coordinates; where it compares all tensors of a model, "
                   "as TIES does with one threshold, the coordinates of all are held in memory"});
    p(scale, {.name = "scale", .range = {0, 5}, .help = "multiplier of the merged task vector"});
    matrices.parameters(p);
    p(others, {.name = "others",
               .choices = {"method", "mean", "base"},
               .help = "tensors that are no matrices, such as biases and norms, are merged by 'of' "
                       "as they are, get the mean of the task vectors, or stay the base's"});
  }
  std::optional<std::string> conflict() const;
  /// Prepares the component on the coordinates of all tensors, if it looks at tensors at all.
  void prepare(const ModelJob& job, const MakeCoordinates& make);
  at::Tensor merge(const TensorJob& job, const MakeCoordinates& make) const;

 private:
  friend class CoordinateModel;
  std::map<std::string, Coordinates> held_;  ///< what prepare() has made, for merge()
};

}  // namespace assay
