/// Architectures that are families of published models: the fields of config.json are read by a
/// function, since they depend on each other, and one network serves several families.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "harness/core/registry.h"
#include "harness/model/architecture.h"
#include "harness/model/internal/config_fields.h"

namespace assay::detail {

/// A family T has: `static constexpr std::string_view name, summary, paper, example` (a small
/// config.json) and `static auto read(ConfigFields&)`. A Network is made of what that returns and
/// of the whole config.json.
template <typename T, typename Network>
void register_family() {
  architectures().add(std::string(T::name), {std::string(T::summary),
                                             std::string(T::paper),
                                             {},
                                             [](const JsonReader& fields) {
                                               ConfigFields config(fields);
                                               auto network = T::read(config);
                                               config.finish();
                                               Json json = fields.json();
                                               json["model_type"] = T::name;
                                               return std::make_unique<Network>(std::move(network),
                                                                                std::move(json));
                                             },
                                             std::string(T::example)});
}

}  // namespace assay::detail

#define ASSAY_FAMILY(Type, Network) \
  ASSAY_REGISTER([] { ::assay::detail::register_family<Type, Network>(); })
