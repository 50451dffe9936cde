/// Files of text items: JSON, JSON lines, CSV, TSV and plain text, each also compressed by gzip.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// An item's fields, and its place in the file for messages.
struct TextItem {
  Json fields;
  std::string where;
};

/// Turns a record of a data set's own form into the fields that prompts use. DataError when the
/// record is not of that form. `version` is part of every hash made with it.
struct TextReader {
  std::function<Json(const Json& record, const std::string& where)> read;
  std::string version;
};
Registry<TextReader>& text_readers();

/// How a table is read where it is not as .csv and .tsv files usually are.
struct TableFormat {
  char separator = 0;                  ///< 0: by the file's name
  std::vector<std::string> columns{};  ///< the fields' names; empty: the first line has them
};

/// The items of a file, by the end of its name: .json (an array of objects), .jsonl, .csv and .tsv
/// (the first line names the fields), .txt (one item with the field "text"), each with or without
/// .gz. Integers that no 64 bits hold become strings of their digits. DataError naming file and
/// line when it cannot be read, is not UTF-8 or not of that form.
std::vector<TextItem> read_text_file(const fs::path& path, const TableFormat& format = {});
/// The end of the name that it goes by, for example ".csv"; without .gz.
std::string text_file_kind(const fs::path& path);

/// The lines of a file, without their ends and without an empty last one.
std::vector<std::string> read_lines(const fs::path& path);

/// A field by its path, "choices.text.0": keys of objects and indices of arrays. A key that holds
/// dots itself counts first. DataError naming the item and the nearest field when there is none.
const Json& text_field(const TextItem& item, const std::string& path);

/// A string as it is, a number or a truth value in JSON. DataError for all others.
std::string field_text(const TextItem& item, const std::string& path);

/// A field as Jinja, the templates of lm-evaluation-harness, prints it: True, False, None, numbers
/// as Python's repr. DataError for lists and objects.
std::string printed_field(const TextItem& item, const std::string& path);

}  // namespace assay

#define ASSAY_TEXT_READER(name, function, version)      \
  [[maybe_unused]] static const bool assay_registered = \
      ::assay::text_readers().add(name, ::assay::TextReader{function, version});
