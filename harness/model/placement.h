/// Placement of a model's blocks on several devices.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "harness/model/architecture.h"

namespace assay {

/// A device and the part of its memory that weights may use.
struct DeviceBudget {
  at::Device device;
  int64_t bytes;
};

/// The device of each block, as an index into `budgets`. Each device holds consecutive blocks, in
/// the order of the devices. The first device also holds the tensors outside the blocks
/// (`outer_bytes`): embeddings, the last norm and the head. The plan minimises the bytes on the
/// CPU, then the highest share of any other budget in use; ties fill earlier devices first.
/// UserError with the sizes when the budgets do not suffice.
std::vector<size_t> plan_blocks(int64_t outer_bytes, const std::vector<int64_t>& block_bytes,
                                const std::vector<DeviceBudget>& budgets);

/// The plan for an architecture whose weights are held in `dtype`.
DeviceMap place_weights(const Architecture& architecture, at::ScalarType dtype,
                        const std::vector<DeviceBudget>& budgets);

/// UserError when there are several devices and the architecture must lie on one.
void check_devices(const Architecture& architecture, const std::vector<at::Device>& devices);

/// Memory that is free now, in bytes.
int64_t free_memory(at::Device device);

/// load_weights() to one device, or to several by the memory that they have free now, of which a
/// fifth is left for KV caches and activations. UserErrors as above.
StateDict load_placed(const Architecture& architecture, const TensorSource& source,
                      const std::vector<at::Device>& devices, at::ScalarType dtype);

}  // namespace assay
