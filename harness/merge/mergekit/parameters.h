/// Reads the parameters in mergekit's configurations.
#pragma once

#include <optional>
#include <string>

#include "harness/core/yaml.h"
#include "harness/merge/mergekit/yaml.h"

namespace assay {

/// A map of parameters of the method, in one model's entry or in a place for the whole merge.
/// `where` names the file. UserError "WHERE:LINE: ..." on parameters that the method does not have
/// there, and on values of the wrong kind.
MergekitSettings read_mergekit_parameters(const YamlNode& node, const MergekitMethod& method,
                                          bool of_model, const std::string& where);

/// A finite number that is not quoted; absent when the node is none.
std::optional<double> yaml_number(const YamlNode& node);

}  // namespace assay
