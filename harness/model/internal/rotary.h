/// Rotary position embeddings (Su et al., arXiv:2104.09864) and the ways in use to stretch them to
/// longer texts. The first and second half of the rotated values form the pairs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace assay {

class ConfigFields;

struct RotaryConfig {
  enum class Scaling {
    kNone,
    kLinear,    ///< Chen et al., arXiv:2306.15595
    kDynamic,   ///< NTK-aware base that grows with the text
    kYarn,      ///< Peng et al., arXiv:2309.00071
    kLlama3,    ///< Llama 3.1: low frequencies are stretched, high ones are not
    kLongRope,  ///< Ding et al., arXiv:2402.13753: one list of factors for short, one for long
                ///< texts
  };
  Scaling scaling = Scaling::kNone;
  int64_t size = 0;  ///< values of each head that are rotated, the first ones
  double theta = 10000;
  double factor = 1;
  double attention_factor = 1;     ///< multiplies cosines and sines
  int64_t max_positions = 0;       ///< kDynamic: longer texts change the base
  int64_t original_positions = 0;  ///< kYarn, kLlama3, kLongRope: length of pre-training
  double low_frequency_factor = 1, high_frequency_factor = 4;  ///< kLlama3
  double beta_fast = 32, beta_slow = 1;                        ///< kYarn
  bool truncate = true;                                        ///< kYarn
  std::vector<double> short_factors, long_factors;             ///< kLongRope
};

/// What a family's config.json need not state.
struct RotaryDefaults {
  double theta = 10000;
  /// The share of a head that is rotated; none: the family always turns whole heads.
  std::optional<double> partial;
};

/// Reads rope_theta, rope_scaling and rope_parameters, in the forms that transformers 4 and 5
/// write. UserError on what is not known.
RotaryConfig read_rotary(ConfigFields& config, int64_t head_size, int64_t max_positions,
                         const RotaryDefaults& defaults);

/// What turns the queries and keys at given positions.
struct RotaryTable {
  at::Tensor cosines, sines;  ///< [rows, 1, tokens, size / 2]
};

class Rotary {
 public:
  explicit Rotary(RotaryConfig config) : config_(std::move(config)) {}
  /// True when angles depend on how long the text is.
  bool depends_on_length() const;
  /// True when texts of these two lengths have the same angles.
  bool same_angles(int64_t length, int64_t other) const;
  /// positions: int64 [rows, tokens]; lengths: int64 [rows], the highest position of each row's
  /// text plus one (unused unless depends_on_length()). Worked out in float32, given in `dtype`.
  RotaryTable table(const at::Tensor& positions, const at::Tensor& lengths,
                    at::ScalarType dtype) const;
  /// x [rows, heads, tokens, head size], turned.
  static at::Tensor turn(const at::Tensor& x, const RotaryTable& table);

 private:
  /// float32 [rows or 1, size / 2]
  at::Tensor frequencies(const at::Tensor& lengths, at::Device device) const;
  RotaryConfig config_;
};

}  // namespace assay
