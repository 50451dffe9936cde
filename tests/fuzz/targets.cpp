#include "tests/fuzz/targets.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/internal/pickle.h"
#include "harness/checkpoint/model_texts.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "harness/jinja/jinja.h"
#include "harness/merge/mergekit/resolve.h"
#include "tests/core/temporary_folder.h"

namespace assay::fuzz {
namespace {

template <typename Read>
void refusable(const Read& read) {
  try {
    read();
  } catch (const UserError&) {
  } catch (const DataError&) {
  }
}

// Corpus files of folders are readable text: header lengths are inserted here.
std::string with_lengths(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '@') {
      out += part[i];
      continue;
    }
    const std::string_view rest = part.substr(i + 1);
    const uint64_t length = rest.substr(0, rest.find('\n')).size();
    out.append(reinterpret_cast<const char*>(&length), sizeof length);
  }
  return out;
}

std::vector<std::string> parts_of(std::string_view input) {
  constexpr std::string_view kMark = "----\n";
  std::vector<std::string> parts;
  for (size_t mark = input.find(kMark); mark != std::string_view::npos; mark = input.find(kMark)) {
    parts.push_back(with_lengths(input.substr(0, mark)));
    input.remove_prefix(mark + kMark.size());
  }
  parts.push_back(with_lengths(input));
  return parts;
}

}  // namespace

void safetensors(std::string_view input) {
  refusable([&] {
    uint64_t covered = 0;
    for (const SafetensorsEntry& entry : parse_safetensors_header(input, "file")) {
      const auto bytes = static_cast<uint64_t>(entry.info.bytes());
      ASSAY_CHECK(entry.offset <= input.size() && bytes <= input.size() - entry.offset);
      covered += bytes;
    }
    ASSAY_CHECK(covered <= input.size());
  });
}

void index(std::string_view input) {
  refusable([&] {
    for (const auto& [tensor, shard] : parse_safetensors_index(input, "index"))
      ASSAY_CHECK(shard.find('/') == std::string::npos, "'{}' leaves the folder", shard);
  });
}

void folder(std::string_view input) {
  static const TemporaryFolder place;
  static constexpr const char* kNames[] = {"config.json", kIndexName, "a.safetensors",
                                           "b.safetensors"};
  const std::vector<std::string> parts = parts_of(input);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    const fs::path path = place.path() / kNames[i];
    if (i < parts.size())
      std::ofstream(path, std::ios::binary | std::ios::trunc) << parts[i];
    else
      fs::remove(path);
  }
  refusable([&] {
    const auto checkpoint = Checkpoint::open(place.path());
    for (const TensorInfo& info : checkpoint->tensors())
      ASSAY_CHECK(checkpoint->read(info.name).numel() == info.numel());
    checkpoint->content_hash();
  });
}

void torch(std::string_view input) {
  static const TemporaryFolder place;
  const fs::path path = place.path() / "x.pth";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << input;
  refusable([&] { PickleReader(input, "pickle").next(); });
  refusable([&] {
    const auto checkpoint = Checkpoint::open(path);
    for (const TensorInfo& info : checkpoint->tensors())
      ASSAY_CHECK(checkpoint->read(info.name).numel() == info.numel());
  });
}

void gguf(std::string_view input) {
  static const TemporaryFolder place;
  const fs::path path = place.path() / "x.gguf";
  std::ofstream(path, std::ios::binary | std::ios::trunc) << input;
  refusable([&] { ModelTexts(path).find("tokenizer.json"); });
  refusable([&] {
    const auto checkpoint = Checkpoint::open(path);
    for (const TensorInfo& info : checkpoint->tensors())
      ASSAY_CHECK(checkpoint->read(info.name).numel() == info.numel());
  });
}

void jinja(std::string_view input) {
  static const Json context{{"messages", {{{"role", "user"}, {"content", "a b\nc"}}}},
                            {"n", 3},
                            {"d", {{"k", {1, "x"}}}}};
  for (const JinjaOptions& options : {JinjaOptions::of_tasks(), JinjaOptions::of_chats()})
    refusable([&] { JinjaTemplate(input, "template", options).render(context); });
}

const std::vector<std::string> kTensors = {
    "lm_head.weight", "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight",
    "model.layers.1.mlp.up_proj.weight", "model.norm.weight"};

void mergekit(std::string_view input) {
  refusable([&] {
    const MergekitConfig config = parse_mergekit_yaml(input, "config.yaml");
    for (const MergekitSlice& slice : config.slices) {
      const MergekitModels models = mergekit_models(config, &slice);
      const std::vector<std::string> inputs(models.experts.size(), kTensors.front());
      mergekit_parameters(config, models.experts,
                          {.tensor = kTensors.front(),
                           .inputs = inputs,
                           .depth = 0.5,
                           .settings = {&slice.parameters, &config.parameters}});
    }
    if (!config.slices.empty()) return;
    const MergekitPlan plan = resolve_mergekit(config, mergekit_models(config), kTensors, 2);
    size_t tensors = 0;
    for (const MergekitGroup& group : plan.groups) tensors += group.tensors.size();
    ASSAY_CHECK(tensors == kTensors.size(), "{} tensors are planned", tensors);
  });
}

}  // namespace assay::fuzz
