#include "harness/checkpoint/model_path.h"

#include "harness/checkpoint/internal/adapter.h"
#include "harness/checkpoint/internal/hub_cache.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/core/paths.h"

namespace assay {
namespace {

/// A model or an adapter, found by its part of a name.
struct FoundPath {
  fs::path path;
  bool cached = false;
  std::string note{};
};

/// Absent when there is none; `reason` then names the places searched.
std::optional<FoundPath> look_up(const std::string& name, const fs::path& base,
                                 std::string& reason) {
  if (name.empty()) user_error("a model's name is empty");
  try {
    const fs::path path = expand_home(name), file = plain_path(find_file(path, base));
    return FoundPath{file, false, same_name_note(path, file)};
  } catch (const UserError& error) {
    reason = error.what();
  }
  const auto hub_name = HubName::parse(name);
  if (!hub_name) return std::nullopt;
  if (const auto folder = find_in_hub_cache(*hub_name)) return FoundPath{*folder, true};
  reason += fmt::format(", nor in the Hugging Face cache '{}'", hub_cache().string());
  if (hub_name->repository.find('/') != std::string::npos)
    reason += fmt::format(
        ". Nothing is downloaded: get it with 'huggingface-cli download {}{}', or name a folder",
        hub_name->repository,
        hub_name->revision == "main" ? "" : fmt::format(" --revision {}", hub_name->revision));
  return std::nullopt;
}

void add_notes(ModelPath& model, const std::string& name, const FoundPath& found) {
  if (!found.note.empty()) model.notes.push_back(found.note);
  if (!found.cached) return;
  model.cached.emplace_back(name, found.path.string());
  model.notes.push_back(
      fmt::format("'{}' is read from the Hugging Face cache: {}", name, found.path.string()));
}

void set_adapter(ModelPath& model, const fs::path& path, const std::string& name) {
  if (!model.adapter.empty())
    user_error("'{}': '{}' has an adapter already; a model can have one", name, model.text());
  model.adapter = adapter_folder(path);
  if (model.adapter.empty())
    user_error("'{}' is not a LoRA adapter: it has no adapter_config.json, or weights of a model",
               path.string());
}

bool is_found(const std::string& name, const fs::path& folder) {
  std::string reason;
  try {
    return !name.empty() && look_up(name, folder, reason);
  } catch (const UserError&) {
    return false;
  }
}

/// The last '+' with existing names on both sides; else the last '+', for the error message.
size_t find_plus(const std::string& name, const fs::path& folder) {
  const size_t last = name.rfind('+');
  for (size_t plus = last; plus != std::string::npos && plus > 0; plus = name.rfind('+', plus - 1))
    if (is_found(name.substr(0, plus), folder) && is_found(name.substr(plus + 1), folder))
      return plus;
  return last;
}

[[noreturn]] void reject_lone_adapter(const fs::path& path, const std::string& name) {
  const std::string base = adapter_base_name(adapter_folder(path));
  user_error(
      "'{}' is a LoRA adapter, not a model: write 'BASE+{}', where BASE is the model that it was "
      "trained on{}. Experts of a merge or sweep with a base need no 'BASE+'",
      name, name, base.empty() ? "" : fmt::format(" (its adapter_config.json names '{}')", base));
}

/// The last component of a path or of a name of the hub.
std::string last_component(const std::string& name) {
  const std::string path = name.substr(0, name.find('@'));
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "";
  return path.substr(path.find_last_of('/', end) + 1, end - path.find_last_of('/', end));
}

void check_base(ModelPath& model) {
  const std::string stated = adapter_base_name(model.adapter);
  if (stated.empty()) return;
  std::vector<std::string> names{model.path.string()};
  for (const auto& [name, folder] : model.cached) names.push_back(name);
  std::error_code ignored;
  for (const std::string& name : names)
    if (last_component(name) == last_component(stated) || fs::equivalent(name, stated, ignored))
      return;
  model.notes.push_back(
      fmt::format("{}: adapter_config.json names the base '{}', and it is added to '{}'",
                  model.adapter.string(), stated, model.path.string()));
}

}  // namespace

std::string ModelPath::text() const {
  return adapter.empty() ? path.string() : path.string() + "+" + adapter.string();
}

ModelPath find_model(const std::string& name, const fs::path& folder, const ModelPath* base) {
  std::string reason;
  ModelPath model;
  if (const auto found = look_up(name, folder, reason)) {
    if (adapter_folder(found->path).empty()) {
      model.path = found->path;
    } else {
      if (!base) reject_lone_adapter(found->path, name);
      model = ModelPath(base->path, base->adapter);
      model.cached = base->cached;
      set_adapter(model, found->path, name);
      check_base(model);
    }
    add_notes(model, name, *found);
    return model;
  }
  const size_t plus = find_plus(name, folder);
  if (plus == std::string::npos) user_error("{}", reason);
  const std::string first = name.substr(0, plus), second = name.substr(plus + 1);
  model = find_model(first, folder);
  const auto found = look_up(second, folder, reason);
  if (!found) user_error("{}", reason);
  set_adapter(model, found->path, name);
  check_base(model);
  add_notes(model, second, *found);
  return model;
}

ModelPath find_adapted(const std::string& model, const std::string& adapter) {
  if (adapter.empty()) return find_model(model);
  const ModelPath base = find_model(model);
  ModelPath adapted = find_model(adapter, {}, &base);
  if (adapted.adapter.empty())
    user_error("--adapter: '{}' is not a LoRA adapter: it has no adapter_config.json", adapter);
  adapted.notes.insert(adapted.notes.begin(), base.notes.begin(), base.notes.end());
  return adapted;
}

}  // namespace assay
