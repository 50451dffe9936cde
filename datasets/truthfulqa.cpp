// TruthfulQA.csv (Lin et al., arXiv:2109.07958). Answers are in one field, separated by ";".
#include <algorithm>

#include "harness/core/error.h"
#include "harness/core/whitespace.h"
#include "harness/task/text_file.h"

namespace assay {
namespace {

// As the authors' code prints them: with a full stop.
std::string sentence(std::string_view text) {
  std::string out(stripped(text));
  if (!out.empty() && !out.ends_with('.')) out += '.';
  return out;
}

std::vector<std::string> split_answers(const std::string& text) {
  std::vector<std::string> answers;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    if (std::string answer = sentence(std::string_view(text).substr(begin, end - begin));
        !answer.empty())
      answers.push_back(std::move(answer));
    begin = end + 1;
  }
  return answers;
}

// Fields: "question"; "mc1": "choices", the best answer first and then the wrong ones, and "label"
// 0; "mc2": "choices", all true answers and then the wrong ones, and "labels", 1 and 0.
Json read_truthfulqa(const Json& record, const std::string& where) {
  const TextItem item{record, where};
  const auto right = split_answers(field_text(item, "Correct Answers"));
  const auto wrong = split_answers(field_text(item, "Incorrect Answers"));
  const std::string best = sentence(field_text(item, "Best Answer"));
  if (right.empty() || wrong.empty() || best.empty())
    data_error("{}: expected a best answer, correct and incorrect ones", where);
  std::vector<std::string> one{best}, all = right;
  one.insert(one.end(), wrong.begin(), wrong.end());
  all.insert(all.end(), wrong.begin(), wrong.end());
  std::vector<int> labels(all.size(), 0);
  std::fill_n(labels.begin(), right.size(), 1);
  return {{"question", std::string(stripped(field_text(item, "Question")))},
          {"mc1", {{"choices", one}, {"label", 0}}},
          {"mc2", {{"choices", all}, {"labels", labels}}}};
}

ASSAY_TEXT_READER("truthfulqa", read_truthfulqa, "1")

}  // namespace
}  // namespace assay
