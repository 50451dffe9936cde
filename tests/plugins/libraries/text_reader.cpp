// A text reader: {"pair": ["one", "two"]} has the choices "one" and "two", the first of them right.
#include "harness/task/text_file.h"

namespace assay {
namespace {

Json read_pair(const Json& record, const std::string&) {
  return {{"choices", record.at("pair")}, {"label", 0}};
}

ASSAY_TEXT_READER("test_pairs", read_pair, "1")

}  // namespace
}  // namespace assay
