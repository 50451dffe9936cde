#include "harness/tokenizer/chat_template.h"

#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"
#include "tests/task/text_task_helpers.h"

using namespace assay;
using Catch::Matchers::Contains;

namespace {

constexpr const char* kMarks =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

Json settings(const Json& chat_template) {
  return {{"bos_token", "[B]"}, {"chat_template", chat_template}};
}

}  // namespace

TEST_CASE("a model's chat template writes messages and special tokens", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto config = folder.path() / "tokenizer_config.json";
  write_file(config, settings(kMarks).dump());
  const ChatTemplate chat = ChatTemplate::open(folder.path());
  CHECK(chat.apply({{"system", "s"}, {"user", "u"}}, true) == "[B]<system>s<user>u<assistant>");
  CHECK(chat.apply({{"user", "u"}}, false) == "[B]<user>u");
  CHECK(ChatTemplate(chat.json(), "copy").apply({{"user", "u"}}, false) == "[B]<user>u");

  write_file(config, settings(Json::array({{{"name", "tool_use"}, {"template", "no"}},
                                           {{"name", "default"}, {"template", "yes"}}}))
                         .dump());
  CHECK(ChatTemplate::open(folder.path()).apply({}, false) == "yes");
  write_file(folder.path() / "chat_template.jinja", "own file{{ eos_token }}");
  CHECK(ChatTemplate::open(folder.path()).apply({}, false) == "own file");
  CHECK_THROWS_WITH(ChatTemplate::open(folder.path() / "nowhere"), Contains("no chat template"));
  write_file(folder.path() / "chat_template.jinja", "{{ raise_exception('only users') }}");
  CHECK_THROWS_WITH(ChatTemplate::open(folder.path()).apply({}, false), Contains("only users"));
}

TEST_CASE("tasks write their prompts as chats", "[task]") {
  const TextFolder folder;
  const Json one{{"q", "a"}, {"t", "1"}}, two{{"q", "b"}, {"t", "2"}};
  const Json files{{"train", folder.lines("train.jsonl", {one})},
                   {"test", folder.lines("test.jsonl", {two})}};
  const Json tokens{{"bos_token", "[B]"}}, chat{{"template", kMarks}, {"tokens", tokens}};
  const Json definition{{"dataset", {{"files", files}}},
                        {"description", "Count."},
                        {"prompt", "{{q}}?"},
                        {"target", "{{t}}"},
                        {"few_shot", {{"split", "train"}, {"count", 1}}},
                        {"chat", chat}};
  const auto task = make_text_task("log_likelihood", definition);
  const auto requests = task->requests(Split::kTest).likelihoods;
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].context == "[B]<system>Count.<user>a?<assistant>1<user>b?<assistant>");
  CHECK(requests[0].continuation == "2");
  Json plain = definition;
  plain.erase("chat");
  CHECK(make_text_task("log_likelihood", plain)->hash() != task->hash());
}
