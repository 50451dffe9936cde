/// Components as JSON: values of parameters that have parameters of their own (ComponentField).
/// Stored ones are objects with the key of their kind, which names them: {"method": "ties",
/// "density": 0.2, "version": 1}, {"router": "random", ...}.
#pragma once

#include <string>

#include "harness/core/json.h"

namespace assay {

/// The kinds of components, each the key that names one of it.
inline constexpr const char* kComponentKinds[] = {"method", "router"};

/// Whether a parameter of this type (ParamDoc::type) is a component.
bool is_component_kind(const std::string& type);
/// The kind of a stored value; empty when it is no component's.
std::string component_kind(const Json& value);
/// What a stored component is called.
std::string component_name(const Json& component);
/// A stored component's parameters alone.
Json component_parameters(const Json& component);

}  // namespace assay
