/// What a method declares about itself: plain data, checked before a tensor is read, stored with
/// every result and printed as the practical-requirements table.
#pragma once

#include <string_view>

namespace assay {

/// The kind of model that a merge returns.
enum class Output {
  kSameArchitecture,
  kModelPerTask,  ///< one for each expert's tasks (merge_for() in method.h)
  kReshaped,
  kWider,
  kMixtureOfExperts,
  kEnsemble
};

/// What a method requires. A cell of a sweep that does not meet it is skipped, with the reason.
struct Needs {
  static constexpr int kAnyNumber = 1 << 20;

  bool base = false;  ///< the checkpoint the experts were fine-tuned from
  int min_experts = 1;
  int max_experts = kAnyNumber;
  bool calibration_inputs = false;  ///< unlabelled examples
  bool calibration_labels = false;
  bool gradients = false;  ///< backward passes through the experts
  /// Which tensors are weights of layers, and in which block they are (Evidence::layer(), block()):
  /// models of an architecture that Assay knows. Implied by the three above.
  bool architecture = false;
  bool same_shapes = true;          ///< every expert has the same tensors with the same shapes
  bool same_initialization = true;  ///< only meaningful between models of one loss basin
  bool tokenizer = false;           ///< all models must share one
  Output output = Output::kSameArchitecture;
};

/// A method's identity and properties. `name`, `paper` and `summary` are mandatory.
struct MethodInfo {
  std::string_view name;     ///< [a-z0-9_]+, unique
  int version = 1;           ///< raise it when results change: old scores are then not reused
  std::string_view paper;    ///< "arXiv:2306.01708 §3", or a URL
  std::string_view summary;  ///< one line
  Needs needs{};
  /// The result depends on the seed, with some parameters at least (randomized() in method.h).
  bool randomized = false;
  /// An element depends on the same element of the models alone, besides what prepare() found.
  bool elementwise = false;
  /// The running moments of BatchNorm layers are the method's to make: it estimates them, passes
  /// them on to a method that does, or takes means by weights of its own. Of all others they are
  /// the experts' mean (running_moments.h), in what merge() and merge_model() give.
  bool own_moments = false;
  /// JSON parameters under which merging identical experts returns that expert, up to rounding; the
  /// conformance tests hold every method to it. Empty: there are none (say why in a comment).
  std::string_view identity = "{}";
  /// The result has the same bytes on any number of threads, in any order of tensors, with and
  /// without cached values. False: the same up to rounding.
  bool same_bytes = true;
  /// Floating-point operations of a merge of N experts of d parameters, statistics of data aside:
  /// "(2N + 1) d". Of matrices of m rows and n <= m columns where it depends on them. For people.
  std::string_view flops{};
};

/// A published behaviour as named parameters: `ties@mergekit`.
struct Preset {
  std::string_view name;
  std::string_view parameters;  ///< a JSON object
  std::string_view help;
};

std::string_view output_name(Output output);

}  // namespace assay
