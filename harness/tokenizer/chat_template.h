/// How a model's chats are written as text: tokenizer_config.json's `chat_template`, or
/// chat_template.jinja, in Jinja.
#pragma once

#include <filesystem>
#include <string>

#include "harness/jinja/jinja.h"

namespace assay {

struct ChatMessage {
  std::string role;  ///< system, user or assistant
  std::string content;
};

/// Rendered as by transformers' apply_chat_template. There is no strftime_now: templates write the
/// date that they have for programs without it, so that results do not depend on the day.
class ChatTemplate {
 public:
  /// Of a model's folder or GGUF file. chat_template.jinja takes precedence; of several templates
  /// the one called "default" is used. DataError when there is none, or it cannot be read.
  static ChatTemplate open(const std::filesystem::path& model);
  /// From json(). UserError when it is not such an object.
  ChatTemplate(const Json& json, const std::string& where);

  /// `prompt`: with what begins the assistant's next message. DataError when the template refuses
  /// the messages, for instance a system message, or roles that do not alternate.
  std::string apply(const std::vector<ChatMessage>& messages, bool prompt) const;

  /// The template and the special tokens, {"template": ..., "tokens": {"bos_token": ...}}: all that
  /// determines apply().
  const Json& json() const { return json_; }

 private:
  Json json_;
  JinjaTemplate template_;
};

}  // namespace assay
