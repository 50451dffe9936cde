/// The layers of an architecture, found by running it without weights.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "harness/method/evidence.h"
#include "harness/model/architecture.h"
#include "harness/model/batch.h"

namespace assay {

/// The smallest batch of the architecture's kind: one input with every value 0 and every token
/// scored.
ModelBatch example_batch(const Architecture& architecture);

/// Tensors of the architecture's shapes that hold one value each, 0: for passes that multiply by no
/// weight (LayerObserver::shapes_only()).
StateDict weights_without_memory(const Architecture& architecture);

/// Every linear and convolution layer, in the order in which a forward pass reaches them, under the
/// names of Architecture::tensors(). Found in one pass of example_batch() that multiplies by no
/// weight and holds none, so that models of any size take no time. Layers share an input when the
/// architecture passes the same tensor to them, convolutions when they read the same patches of it.
/// Left out, as they are no plain layers: one whose weight is also a table of embeddings (a tied
/// head), and convolutions of several groups.
std::vector<LayerInfo> layers_of(const Architecture& architecture);

/// The experts of a router.
struct RoutedExperts {
  std::vector<std::vector<std::string>> tensors;  ///< of each expert, the names of its tensors
  int64_t per_token = 0;                          ///< how many of them a token is sent to
};
/// What such a pass shows: the layers, and the work of a forward pass.
struct ForwardProfile {
  std::vector<LayerInfo> layers;  ///< layers_of()
  /// Of every layer, by its weight: the FLOPs of its product for one token (of an encoder-decoder,
  /// one of each side; of an image model, one image). Of a mixture all experts' count.
  std::map<std::string, int64_t> flops;
  std::vector<RoutedExperts> routers;  ///< the experts of every router
};
/// Empty for a routed ensemble: which of its members answer is decided for a sequence, so it cannot
/// be seen in a pass.
ForwardProfile forward_profile(const Architecture& architecture);

/// Profiles that are kept, so that models of one config share one pass. Thread-safe.
class ForwardProfiles {
 public:
  /// forward_profile() of an architecture with this config. Stays where it is.
  const ForwardProfile& of(const Architecture& architecture);

 private:
  std::mutex mutex_;
  std::map<std::string, ForwardProfile> profiles_;  ///< by the config's text
};

/// layers_of() under the names that a checkpoint stores, without layers that it does not store: a
/// T5 whose head is tied stores the embeddings only.
std::vector<LayerInfo> layers_of(const Architecture& architecture,
                                 const std::vector<TensorInfo>& stored, ForwardProfiles& profiles);

/// The index of the transformer block of each tensor that is in one (Architecture::blocks()).
std::map<std::string, int64_t> block_of_tensors(const Architecture& architecture);
/// The same under the names that a checkpoint stores.
std::map<std::string, int64_t> block_of_tensors(const Architecture& architecture,
                                                const std::vector<TensorInfo>& stored);

}  // namespace assay
