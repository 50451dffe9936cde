// The multiple-choice sets of LLM-Adapters (Hu et al., arXiv:2304.01933; its folder dataset/): one
// instruction with the question and its choices, and the name of the correct one.
#include "harness/core/error.h"
#include "harness/core/whitespace.h"
#include "harness/task/text_file.h"

namespace assay {
namespace {

std::string text_of(const Json& record, const std::string& where, const char* field) {
  return field_text({record, where}, field);
}

// "Answer1: x Answer2: y" to x, y.
std::vector<std::string> split_choices(std::string_view text, const std::string& word) {
  std::vector<std::string> choices;
  std::string marker = word + "1:";
  size_t begin = text.find(marker);
  while (begin != std::string_view::npos) {
    begin += marker.size();
    marker = word + std::to_string(choices.size() + 2) + ":";
    const size_t end = text.find(marker, begin);
    choices.emplace_back(stripped(text.substr(begin, end - begin)));
    begin = end;
  }
  return choices;
}

// Fields: "question"; "choices"; "label", the index of the correct one; for sentences with a blank
// "_" also "before" and "after".
Json read_llm_adapters(const Json& record, const std::string& where) {
  const std::string instruction = text_of(record, where, "instruction");
  const std::string answer = text_of(record, where, "answer");
  size_t begin = std::string::npos;
  std::string word;
  for (const char* candidate : {"Answer", "Option", "Solution"}) {
    begin = instruction.find(std::string("\n\n") + candidate + "1:");
    word = candidate;
    if (begin != std::string::npos) break;
  }
  if (begin == std::string::npos)
    data_error("{}: 'instruction' has no list of choices 'Answer1: ... Answer2: ...'", where);
  const size_t end = instruction.find("Answer format", begin);
  const std::vector<std::string> choices =
      split_choices(std::string_view(instruction).substr(begin, end - begin), word);

  const size_t digits = answer.find_last_not_of("0123456789") + 1;
  const std::string number = answer.substr(digits);
  if (number.empty() || number.size() > 3 || number == "0" || std::stoul(number) > choices.size())
    data_error("{}: the answer '{}', but there are the choices 1..{}", where, answer,
               choices.size());

  std::string question = instruction.substr(0, begin);
  for (const std::string prefix : {"question: ", "sentence: "})
    if (const size_t at = question.find(prefix); at != std::string::npos) {
      question.erase(0, at + prefix.size());
      break;
    }
  question = std::string(stripped(question));
  Json fields{{"question", question}, {"choices", choices}, {"label", std::stoi(number) - 1}};
  if (const size_t blank = question.find('_'); blank != std::string::npos) {
    fields["before"] = question.substr(0, blank);
    fields["after"] = std::string(stripped(std::string_view(question).substr(blank + 1)));
  }
  return fields;
}

ASSAY_TEXT_READER("llm_adapters", read_llm_adapters, "1")

}  // namespace
}  // namespace assay
