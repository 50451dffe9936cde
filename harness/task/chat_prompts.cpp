#include "harness/task/chat_prompts.h"

#include <cstdlib>

#include "harness/core/files.h"
#include "harness/tokenizer/chat_template.h"

namespace assay {
namespace {

constexpr const char* kVariable = "ASSAY_CHAT_TEMPLATE";

}  // namespace

void use_chat_template(const std::filesystem::path& model) {
  ChatTemplate::open(model);  // rejects a model without one
  ::setenv(kVariable, fs::absolute(model).c_str(), 1);
}

std::optional<Json> chat_of_environment() {
  const char* model = std::getenv(kVariable);
  if (!model || !*model) return std::nullopt;
  return ChatTemplate::open(model).json();
}

}  // namespace assay
