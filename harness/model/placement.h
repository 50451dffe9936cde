/// Models whose blocks lie on several devices.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

#include "harness/model/architecture.h"

namespace assay {

/// A device and how much of its memory weights may take.
struct DeviceBudget {
  at::Device device;
  int64_t bytes;
};

/// Which room, by index, each block goes to. Blocks that follow one another stay together, in the
/// order of the rooms; the first room also holds the ends: embeddings, the last norm and the head.
/// The CPU takes only what finds no place elsewhere; besides, the fullest of the other rooms is as
/// empty as can be, and of equal plans the one that fills earlier rooms more is taken. UserError
/// with the sizes when there is too little room.
std::vector<size_t> plan_blocks(int64_t ends_bytes, const std::vector<int64_t>& block_bytes,
                                const std::vector<DeviceBudget>& rooms);

/// The plan for an architecture whose weights are held in `dtype`.
DeviceMap place_weights(const Architecture& architecture, at::ScalarType dtype,
                        const std::vector<DeviceBudget>& rooms);

/// UserError when there are several devices and the architecture must lie on one.
void check_devices(const Architecture& architecture, const std::vector<at::Device>& devices);

/// Memory that is free now, in bytes.
int64_t free_memory(at::Device device);

/// load_weights() to one device, or to several by the memory that they have free now, of which a
/// fifth is left to caches and intermediate values. UserErrors as above.
StateDict load_placed(const Architecture& architecture, const TensorSource& source,
                      const std::vector<at::Device>& devices, at::ScalarType dtype);

}  // namespace assay
