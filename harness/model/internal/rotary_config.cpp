#include <cmath>

#include "harness/core/error.h"
#include "harness/model/internal/config_fields.h"
#include "harness/model/internal/rotary.h"

namespace assay {
namespace {

using Scaling = RotaryConfig::Scaling;

Scaling scaling_from(const std::string& name, const std::string& where) {
  static const std::map<std::string, Scaling> known = {
      {"default", Scaling::kNone}, {"linear", Scaling::kLinear}, {"dynamic", Scaling::kDynamic},
      {"yarn", Scaling::kYarn},    {"llama3", Scaling::kLlama3}, {"longrope", Scaling::kLongRope},
      {"su", Scaling::kLongRope},
  };
  const auto it = known.find(name);
  if (it != known.end()) return it->second;
  std::vector<std::string> names;
  for (const auto& [other, unused] : known) names.push_back(other);
  throw UserError(unknown_name("rope_type", name, where, names));
}

std::vector<double> read_factors(ConfigFields& fields, const std::string& key, int64_t count) {
  const auto list = fields.find(key);
  if (!list) user_error("{}: the key '{}' is missing", fields.where(), key);
  std::vector<double> factors;
  for (const JsonReader& element : list->elements()) factors.push_back(element.as_number());
  if (static_cast<int64_t>(factors.size()) != count)
    list->fail(fmt::format("expected {} factors", count));
  return factors;
}

double yarn_attention_factor(ConfigFields& fields, double factor) {
  const auto magnitude_scale = [&](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  const double scale = fields.number("mscale", 0), all = fields.number("mscale_all_dim", 0);
  return scale != 0 && all != 0 ? magnitude_scale(scale) / magnitude_scale(all)
                                : magnitude_scale(1);
}

double longrope_attention_factor(double factor, int64_t original) {
  return factor <= 1 ? 1.0
                     : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(original)));
}

}  // namespace

RotaryConfig read_rotary(ConfigFields& config, int64_t head_size, int64_t max_positions,
                         const RotaryDefaults& defaults) {
  // transformers 5 writes one object "rope_parameters"; earlier versions "rope_theta" and, for
  // scaled ones, "rope_scaling" with the same keys.
  RotaryConfig rotary;
  rotary.max_positions = max_positions;
  rotary.theta = config.positive("rope_theta", defaults.theta);
  const auto outer_original = config.optional_size("original_max_position_embeddings");
  double partial = config.positive("partial_rotary_factor", defaults.partial.value_or(1));
  auto object = config.find("rope_parameters");
  if (const auto scaling = config.find("rope_scaling")) object = scaling;

  static const Json none = Json::object();
  ConfigFields fields(object ? *object : JsonReader(none, config.where()));
  rotary.theta = fields.positive("rope_theta", rotary.theta);
  partial = fields.positive("partial_rotary_factor", partial);
  const std::string type = fields.text("rope_type", fields.text("type", "default"));
  rotary.scaling = scaling_from(type, fields.where() + ".rope_type");
  if (partial > 1 || (partial != 1 && !defaults.partial))
    user_error("{}: 'partial_rotary_factor' must {}, found {}", fields.where(),
               defaults.partial ? "lie in (0, 1]" : "be 1", partial);
  rotary.size = static_cast<int64_t>(static_cast<double>(head_size) * partial);
  if (rotary.size < 2 || rotary.size % 2 != 0)
    user_error(
        "{}: rotary embeddings rotate pairs of values, but {} of a head's {} are to be rotated",
        fields.where(), rotary.size, head_size);

  const auto inner_original = fields.optional_size("original_max_position_embeddings");
  rotary.original_positions =
      outer_original ? *outer_original : inner_original.value_or(max_positions);
  const bool has_factor = rotary.scaling == Scaling::kLinear ||
                          rotary.scaling == Scaling::kDynamic || rotary.scaling == Scaling::kLlama3;
  const double default_scale =
      static_cast<double>(max_positions) / static_cast<double>(rotary.original_positions);
  rotary.factor = has_factor ? fields.positive("factor") : fields.positive("factor", default_scale);
  if (rotary.scaling == Scaling::kDynamic && rotary.size == 2)
    user_error("{}: dynamic scaling needs more than one pair of values per head", fields.where());
  if (rotary.scaling == Scaling::kLlama3) {
    rotary.low_frequency_factor = fields.positive("low_freq_factor");
    rotary.high_frequency_factor = fields.positive("high_freq_factor");
    if (rotary.low_frequency_factor >= rotary.high_frequency_factor)
      user_error("{}: 'low_freq_factor' must be below 'high_freq_factor', found {} and {}",
                 fields.where(), rotary.low_frequency_factor, rotary.high_frequency_factor);
  }
  if (rotary.scaling == Scaling::kYarn) {
    rotary.beta_fast = fields.positive("beta_fast", 32);
    rotary.beta_slow = fields.positive("beta_slow", 1);
    rotary.truncate = fields.flag("truncate", true);
    const double default_factor = yarn_attention_factor(fields, rotary.factor);
    rotary.attention_factor = fields.positive("attention_factor", default_factor);
  }
  if (rotary.scaling == Scaling::kLongRope) {
    rotary.short_factors = read_factors(fields, "short_factor", rotary.size / 2);
    rotary.long_factors = read_factors(fields, "long_factor", rotary.size / 2);
    rotary.attention_factor = fields.positive(
        "attention_factor", longrope_attention_factor(rotary.factor, rotary.original_positions));
  }
  fields.warn_of_rest();  // as transformers does
  return rotary;
}

}  // namespace assay
