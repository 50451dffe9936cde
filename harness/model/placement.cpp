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

/// How good a plan is: less is better, the bytes on the CPU first.
struct Load {
  int64_t cpu_bytes = 0;
  double fullest = 0;  ///< share of a room that weights take, of those that are not the CPU's
  auto operator<=>(const Load&) const = default;
};

/// Plans for the first blocks on the first rooms, each built on plans for fewer of both.
class BlockPlanner {
 public:
  BlockPlanner(int64_t ends_bytes, const std::vector<int64_t>& blocks,
               const std::vector<DeviceBudget>& rooms)
      : ends_(ends_bytes), rooms_(rooms), sums_{0} {
    for (const int64_t bytes : blocks) sums_.push_back(sums_.back() + bytes);
  }

  std::vector<size_t> plan() const {
    const size_t blocks = sums_.size() - 1;
    // best[r][b]: b blocks on r rooms; begin[r][b]: the first block of the last of these rooms.
    std::vector<std::vector<std::optional<Load>>> best(
        rooms_.size() + 1, std::vector<std::optional<Load>>(blocks + 1));
    std::vector<std::vector<size_t>> begin(rooms_.size() + 1, std::vector<size_t>(blocks + 1));
    best[0][0] = Load{};
    for (size_t room = 1; room <= rooms_.size(); ++room)
      for (size_t end = 0; end <= blocks; ++end)
        for (size_t first = end + 1; first-- > 0;) {  // fewer blocks here come first
          const auto load = best[room - 1][first]
                                ? with(*best[room - 1][first], room - 1, first, end)
                                : std::nullopt;
          if (!load || (best[room][end] && !(*load < *best[room][end]))) continue;
          best[room][end] = load;
          begin[room][end] = first;
        }
    if (!best.back().back()) refuse();
    std::vector<size_t> room_of(blocks);
    for (size_t room = rooms_.size(), end = blocks; room > 0; end = begin[room][end], --room)
      std::fill(room_of.begin() + static_cast<int64_t>(begin[room][end]),
                room_of.begin() + static_cast<int64_t>(end), room - 1);
    return room_of;
  }

 private:
  /// `before` and blocks [first, end) in this room; none when they do not fit.
  std::optional<Load> with(Load before, size_t room, size_t first, size_t end) const {
    const int64_t bytes = sums_[end] - sums_[first] + (room == 0 ? ends_ : 0);
    if (bytes > rooms_[room].bytes) return std::nullopt;
    if (rooms_[room].device.is_cpu())
      before.cpu_bytes += bytes;
    else if (bytes > 0)
      before.fullest = std::max(
          before.fullest, static_cast<double>(bytes) / static_cast<double>(rooms_[room].bytes));
    return before;
  }

  [[noreturn]] void refuse() const {
    std::vector<std::string> rooms;
    for (const DeviceBudget& room : rooms_)
      rooms.push_back(fmt::format("{} {:.2f} GB", room.device.str(), gigabytes(room.bytes)));
    user_error(
        "the model's weights do not fit: {:.2f} GB of embeddings and head, on the first device, "
        "and "
        "{} blocks of {:.2f} GB together; there is room for {}",
        gigabytes(ends_), sums_.size() - 1, gigabytes(sums_.back()), fmt::join(rooms, ", "));
  }

  static double gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

  int64_t ends_;
  const std::vector<DeviceBudget>& rooms_;
  std::vector<int64_t> sums_;  ///< of the first blocks
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

std::vector<size_t> plan_blocks(int64_t ends_bytes, const std::vector<int64_t>& block_bytes,
                                const std::vector<DeviceBudget>& rooms) {
  return BlockPlanner(ends_bytes, block_bytes, rooms).plan();
}

DeviceMap place_weights(const Architecture& architecture, at::ScalarType dtype,
                        const std::vector<DeviceBudget>& rooms) {
  const auto element_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  std::map<std::string, int64_t> bytes;
  int64_t ends_bytes = 0;
  for (const TensorInfo& info : architecture.tensors())
    ends_bytes += bytes[info.name] = info.numel() * element_bytes;
  const auto blocks = architecture.blocks();
  std::vector<int64_t> block_bytes;
  for (const auto& names : blocks) {
    block_bytes.push_back(0);
    for (const std::string& name : names) block_bytes.back() += bytes.at(name);
    ends_bytes -= block_bytes.back();
  }
  const std::vector<size_t> plan = plan_blocks(ends_bytes, block_bytes, rooms);
  DeviceMap devices;
  for (const auto& [name, unused] : bytes) devices.emplace(name, rooms.front().device);
  for (size_t i = 0; i < blocks.size(); ++i)
    for (const std::string& name : blocks[i]) devices.at(name) = rooms[plan[i]].device;
  return devices;
}

void check_devices(const Architecture& architecture, const std::vector<at::Device>& devices) {
  if (devices.size() > 1 && architecture.blocks().empty())
    user_error("{} lies on one device: only decoder-only language models are split over several",
               architecture.config().at("model_type").get<std::string>());
}

int64_t free_memory(at::Device device) {
  if (device.is_cpu()) return available_memory();
  at::globalContext().lazyInitDevice(device.type());
  const auto index = device.has_index()
                         ? device.index()
                         : c10::impl::VirtualGuardImpl(device.type()).getDevice().index();
  // What the allocator keeps of models that are gone is free, too.
  at::getDeviceAllocator(device.type())->emptyCache();
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(index);
  return static_cast<int64_t>(free);
}

StateDict load_placed(const Architecture& architecture, const TensorSource& source,
                      const std::vector<at::Device>& devices, at::ScalarType dtype) {
  check_devices(architecture, devices);
  if (devices.size() == 1) return load_weights(architecture, source, devices.front(), dtype);
  std::vector<DeviceBudget> rooms;
  for (const at::Device device : devices) rooms.push_back({device, free_memory(device) / 5 * 4});
  return load_weights(architecture, source, place_weights(architecture, dtype, rooms), dtype);
}

}  // namespace assay
