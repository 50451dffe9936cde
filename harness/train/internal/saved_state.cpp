#include "harness/train/internal/saved_state.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "harness/checkpoint/safetensors.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/log.h"
#include "harness/core/paths.h"

namespace assay {
namespace {

// The numbers of a state are JSON in a tensor of bytes: one file is written whole or not at all.
constexpr const char* kNumbers = "state";

at::Tensor bytes_of(const std::string& text) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  return bytes;
}

std::string text_of(const at::Tensor& bytes) {
  const uint8_t* begin = bytes.data_ptr<uint8_t>();
  return {begin, begin + bytes.numel()};
}

// The parts of a state, by the prefix of their tensors' names.
template <typename State>
auto parts_of(State& state) {
  return std::vector{std::pair{std::string("weight/"), &state.weights},
                     std::pair{std::string("mean/"), &state.means},
                     std::pair{std::string("square/"), &state.squares},
                     std::pair{std::string("best/"), &state.best}};
}

TrainingState state_from(const Json& json, const SafetensorsFile& file) {
  TrainingState state;
  state.step = json.at("step").get<int64_t>();
  state.tokens = json.at("tokens").get<int64_t>();
  state.losses = json.at("losses").get<std::vector<double>>();
  for (const Json& look : json.at("looks"))
    state.looks.push_back({look.at(0).get<int64_t>(), look.at(1).get<double>()});
  state.cost = json.at("cost").get<Cost>();
  state.updates = json.at("updates").get<std::map<std::string, int64_t>>();
  for (size_t i = 0; i < file.tensors().size(); ++i)
    for (auto& [prefix, tensors] : parts_of(state))
      if (const std::string& name = file.tensors()[i].name; name.starts_with(prefix))
        (*tensors)[name.substr(prefix.size())] = file.read(i).clone();
  return state;
}

}  // namespace

size_t TrainingState::best_look() const {
  const auto lowest = std::min_element(
      looks.begin(), looks.end(),
      [](const ValidationLook& a, const ValidationLook& b) { return a.loss < b.loss; });
  return static_cast<size_t>(lowest - looks.begin());
}

StateFile::StateFile(const fs::path& checkpoint, std::string identity)
    : identity_(std::move(identity)) {
  const fs::path destination = resolve_output(checkpoint);
  path_ = destination.parent_path() /
          fmt::format(".{}.training.safetensors", destination.filename().string());
}

std::optional<TrainingState> StateFile::read() const {
  if (!path_exists(path_)) return std::nullopt;
  try {
    const auto file = SafetensorsFile::open(path_);
    for (size_t i = 0; i < file->tensors().size(); ++i) {
      if (file->tensors()[i].name != kNumbers) continue;
      const Json json = parse_json(text_of(file->read(i)), path_.string());
      if (json.at("identity") == identity_) return state_from(json, *file);
    }
  } catch (const std::exception& error) {
    log_warning("{}: this state of a training is not used: {}", path_.string(), error.what());
  }
  return std::nullopt;
}

void StateFile::write(const TrainingState& state) const {
  Json looks = Json::array();
  for (const ValidationLook& look : state.looks) looks.push_back({look.step, look.loss});
  const Json numbers = {{"identity", identity_},     {"step", state.step},
                        {"tokens", state.tokens},    {"losses", state.losses},
                        {"looks", std::move(looks)}, {"cost", state.cost},
                        {"updates", state.updates}};
  StateDict all{{kNumbers, bytes_of(numbers.dump())}};
  for (const auto& [prefix, tensors] : parts_of(state))
    for (const auto& [name, tensor] : *tensors) all[prefix + name] = tensor.detach();
  write_file(path_, safetensors_bytes(all));
}

void StateFile::remove() const {
  std::error_code ignored;  // it may not be there
  fs::remove(path_, ignored);
}

}  // namespace assay
