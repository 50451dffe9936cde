#include "harness/model/placement.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "harness/core/error.h"
#include "harness/core/files.h"

namespace assay {
namespace {

/// The cost of a plan, compared member by member: bytes on the CPU first. Less is better.
struct Load {
  int64_t cpu_bytes = 0;
  double max_fill = 0;  ///< highest share of a budget in use, of devices other than the CPU
  auto operator<=>(const Load&) const = default;
};

/// Dynamic programming over the first blocks and the first devices: each plan extends plans for
/// fewer of both.
class BlockPlanner {
 public:
  BlockPlanner(int64_t outer_bytes, const std::vector<int64_t>& blocks,
               const std::vector<DeviceBudget>& budgets)
      : outer_bytes_(outer_bytes), budgets_(budgets), sums_{0} {
    for (const int64_t bytes : blocks) sums_.push_back(sums_.back() + bytes);
  }

  std::vector<size_t> plan() const {
    const size_t blocks = sums_.size() - 1;
    // best[d][b]: b blocks on d devices; begin[d][b]: the first block on the last of these.
    std::vector<std::vector<std::optional<Load>>> best(
        budgets_.size() + 1, std::vector<std::optional<Load>>(blocks + 1));
    std::vector<std::vector<size_t>> begin(budgets_.size() + 1, std::vector<size_t>(blocks + 1));
    best[0][0] = Load{};
    for (size_t index = 1; index <= budgets_.size(); ++index)
      for (size_t end = 0; end <= blocks; ++end)
        for (size_t first = end + 1; first-- > 0;) {  // prefers fewer blocks on later devices
          const auto load = best[index - 1][first]
                                ? add_blocks(*best[index - 1][first], index - 1, first, end)
                                : std::nullopt;
          if (!load || (best[index][end] && !(*load < *best[index][end]))) continue;
          best[index][end] = load;
          begin[index][end] = first;
        }
    if (!best.back().back()) refuse();
    std::vector<size_t> device_of_block(blocks);
    for (size_t index = budgets_.size(), end = blocks; index > 0; end = begin[index][end], --index)
      std::fill(device_of_block.begin() + static_cast<int64_t>(begin[index][end]),
                device_of_block.begin() + static_cast<int64_t>(end), index - 1);
    return device_of_block;
  }

 private:
  /// `before` and blocks [first, end) on the device `index`; none when they exceed its budget.
  std::optional<Load> add_blocks(Load before, size_t index, size_t first, size_t end) const {
    const int64_t bytes = sums_[end] - sums_[first] + (index == 0 ? outer_bytes_ : 0);
    if (bytes > budgets_[index].bytes) return std::nullopt;
    if (budgets_[index].device.is_cpu())
      before.cpu_bytes += bytes;
    else if (bytes > 0)
      before.max_fill = std::max(
          before.max_fill, static_cast<double>(bytes) / static_cast<double>(budgets_[index].bytes));
    return before;
  }

  [[noreturn]] void refuse() const {
    std::vector<std::string> texts;
    for (const DeviceBudget& budget : budgets_)
      texts.push_back(fmt::format("{} {:.2f} GB", budget.device.str(), gigabytes(budget.bytes)));
    user_error(
        "the model's weights do not fit: {:.2f} GB of embeddings and head, on the first device, "
        "and {} blocks of {:.2f} GB together; the memory budgets are {}",
        gigabytes(outer_bytes_), sums_.size() - 1, gigabytes(sums_.back()), fmt::join(texts, ", "));
  }

  static double gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

  int64_t outer_bytes_;
  const std::vector<DeviceBudget>& budgets_;
  std::vector<int64_t> sums_;  ///< prefix sums of the blocks' bytes
};

int64_t available_memory() {
  std::istringstream lines(read_file("/proc/meminfo"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kibibytes = 0;
    if (words >> name >> kibibytes && name == "MemAvailable:") return kibibytes * 1024;
  }
  data_error("/proc/meminfo does not say how much memory is available");
}

}  // namespace

std::vector<size_t> plan_blocks(int64_t outer_bytes, const std::vector<int64_t>& block_bytes,
                                const std::vector<DeviceBudget>& budgets) {
  return BlockPlanner(outer_bytes, block_bytes, budgets).plan();
}

DeviceMap place_weights(const Architecture& architecture, at::ScalarType dtype,
                        const std::vector<DeviceBudget>& budgets) {
  const auto element_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  std::map<std::string, int64_t> bytes;
  int64_t outer_bytes = 0;
  for (const TensorInfo& info : architecture.tensors())
    outer_bytes += bytes[info.name] = info.numel() * element_bytes;
  const auto blocks = architecture.blocks();
  std::vector<int64_t> block_bytes;
  for (const auto& names : blocks) {
    block_bytes.push_back(0);
    for (const std::string& name : names) block_bytes.back() += bytes.at(name);
    outer_bytes -= block_bytes.back();
  }
  const std::vector<size_t> plan = plan_blocks(outer_bytes, block_bytes, budgets);
  DeviceMap devices;
  for (const auto& [name, unused] : bytes) devices.emplace(name, budgets.front().device);
  for (size_t i = 0; i < blocks.size(); ++i)
    for (const std::string& name : blocks[i]) devices.at(name) = budgets[plan[i]].device;
  return devices;
}

void check_devices(const Architecture& architecture, const std::vector<at::Device>& devices) {
  if (devices.size() > 1 && !architecture.can_be_split())
    user_error("{} needs one device: only decoder-only language models can be split over several",
               architecture.config().at("model_type").get<std::string>());
}

int64_t free_memory(at::Device device) {
  if (device.is_cpu()) return available_memory();
  at::globalContext().lazyInitDevice(device.type());
  const auto index = device.has_index()
                         ? device.index()
                         : c10::impl::VirtualGuardImpl(device.type()).getDevice().index();
  // The caching allocator still holds memory of released models: that is free, too.
  at::getDeviceAllocator(device.type())->emptyCache();
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(index);
  return static_cast<int64_t>(free);
}

StateDict load_placed(const Architecture& architecture, const TensorSource& source,
                      const std::vector<at::Device>& devices, at::ScalarType dtype) {
  check_devices(architecture, devices);
  if (devices.size() == 1) return load_weights(architecture, source, devices.front(), dtype);
  std::vector<DeviceBudget> budgets;
  for (const at::Device device : devices) budgets.push_back({device, free_memory(device) / 5 * 4});
  return load_weights(architecture, source, place_weights(architecture, dtype, budgets), dtype);
}

}  // namespace assay
