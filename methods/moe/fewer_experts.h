/// Results that are ordinary mixtures with fewer experts in each layer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "harness/method/method.h"
#include "methods/moe/mixture_layers.h"

namespace assay {

/// config.json of a mixture with so many experts in each layer. SkipCell, which names the method,
/// when it does not say how many there are, and when a token is sent to more.
Json config_of_fewer(const Json& config, int64_t left, std::string_view method);

/// SkipCell when one of these routers is more than a matrix: it has a bias, or experts are stored
/// once for several of its rows.
void need_plain_routers(const std::vector<MixtureLayer>& layers,
                        const std::vector<OutputTensor>& tensors, std::string_view method);

/// The plan of a mixture, with so many experts in each layer of the result: routers have fewer
/// rows, and the other experts are left out. Both are open, so that the method can read all.
/// SkipCell where the mixture is none, or has fewer experts.
OutputPlan plan_fewer(OutputPlan mixture, int64_t left, std::string_view method);

/// Leaves these experts of a layer, ascending, under the first numbers, and their rows of the
/// router. `model`: has all of them; `result`: where they are put, and the others erased.
void keep_experts(const MixtureLayer& layer, const std::vector<int64_t>& kept,
                  const StateDict& model, StateDict& result);

}  // namespace assay
