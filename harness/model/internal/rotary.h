/// Rotary position embeddings (Su et al., arXiv:2104.09864) and their scaling to longer texts.
/// Value i of the first half of the rotated values forms a pair with value i of the second half.
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
    kDynamic,   ///< dynamic NTK: the base grows with the text
    kYarn,      ///< Peng et al., arXiv:2309.00071
    kLlama3,    ///< Llama 3.1: scales low frequencies, not high ones
    kLongRope,  ///< Ding et al., arXiv:2402.13753: factors for short and for long texts
  };
  Scaling scaling = Scaling::kNone;
  int64_t size = 0;  ///< number of rotated values of each head, the first ones
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

/// A family's defaults for fields that its config.json may omit.
struct RotaryDefaults {
  double theta = 10000;
  /// The rotated share of a head; none: the family always rotates whole heads.
  std::optional<double> partial;
};

/// Reads rope_theta, rope_scaling and rope_parameters, in the forms that transformers 4 and 5
/// write. UserError on unknown settings.
RotaryConfig read_rotary(ConfigFields& config, int64_t head_size, int64_t max_positions,
                         const RotaryDefaults& defaults);

/// Cosines and sines that rotate queries and keys at given positions.
struct RotaryTable {
  at::Tensor cosines, sines;  ///< [rows, 1, tokens, size / 2]
};

class Rotary {
 public:
  explicit Rotary(RotaryConfig config) : config_(std::move(config)) {}
  /// True when angles depend on the length of the text.
  bool depends_on_length() const;
  /// True when texts of these two lengths have the same angles.
  bool same_angles(int64_t length, int64_t other) const;
  /// positions: int64 [rows, tokens]; lengths: int64 [rows], the highest position of each row's
  /// text plus one (unused unless depends_on_length()). Computed in float32, returned in `dtype`.
  RotaryTable table(const at::Tensor& positions, const at::Tensor& lengths,
                    at::ScalarType dtype) const;
  /// x [rows, heads, tokens, head size], rotated.
  static at::Tensor rotate(const at::Tensor& x, const RotaryTable& table);

 private:
  /// float32 [rows or 1, size / 2]
  at::Tensor frequencies(const at::Tensor& lengths, at::Device device) const;
  RotaryConfig config_;
};

}  // namespace assay
