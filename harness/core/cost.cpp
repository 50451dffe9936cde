#include "harness/core/cost.h"

#include <algorithm>

namespace assay {
namespace {

template <typename T>
void add(std::optional<T>& a, const std::optional<T>& b) {
  a = a && b ? std::optional<T>(*a + *b) : std::nullopt;
}

template <typename T>
void peak(std::optional<T>& a, const std::optional<T>& b) {
  if (b) a = a ? std::max(*a, *b) : *b;
}

// One list of the fields, for both writing and reading JSON.
template <typename CostRef, typename Visit>
void visit_fields(CostRef& c, Visit&& visit) {
  visit("wall_s", c.wall_s);
  visit("cpu_s", c.cpu_s);
  visit("device_s", c.device_s);
  visit("peak_rss_bytes", c.peak_rss_bytes);
  visit("peak_device_bytes", c.peak_device_bytes);
  visit("own_peak_rss_bytes", c.own_peak_rss_bytes);
  visit("own_peak_device_bytes", c.own_peak_device_bytes);
  visit("flops", c.flops);
  visit("bytes_read", c.bytes_read);
  visit("bytes_written", c.bytes_written);
  visit("examples", c.examples);
  visit("gradient_steps", c.gradient_steps);
}

}  // namespace

Cost& Cost::operator+=(const Cost& o) {
  add(wall_s, o.wall_s);
  add(cpu_s, o.cpu_s);
  add(device_s, o.device_s);
  peak(peak_rss_bytes, o.peak_rss_bytes);
  peak(peak_device_bytes, o.peak_device_bytes);
  peak(own_peak_rss_bytes, o.own_peak_rss_bytes);
  peak(own_peak_device_bytes, o.own_peak_device_bytes);
  add(flops, o.flops);
  add(bytes_read, o.bytes_read);
  add(bytes_written, o.bytes_written);
  add(examples, o.examples);
  add(gradient_steps, o.gradient_steps);
  return *this;
}

void to_json(nlohmann::json& json, const Cost& cost) {
  json = nlohmann::json::object();
  visit_fields(cost, [&](const char* name, const auto& value) {
    json[name] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  });
}

void from_json(const nlohmann::json& json, Cost& cost) {
  visit_fields(cost, [&](const char* name, auto& value) {
    const auto it = json.find(name);
    if (it == json.end() || it->is_null())
      value.reset();
    else
      value = it->template get<typename std::decay_t<decltype(value)>::value_type>();
  });
}

}  // namespace assay
