/// Files of text items: JSON, JSON Lines, CSV, TSV and plain text, each optionally gzipped.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/core/files.h"
#include "harness/core/json.h"
#include "harness/core/registry.h"

namespace assay {

/// An item's fields, and its location in the file for messages.
struct TextItem {
  Json fields;
  std::string where;
};

/// Converts a record of a dataset's own format to the fields that prompts use. DataError when the
/// record is not of that format. `version` is part of every hash made with it.
struct TextReader {
  std::function<Json(const Json& record, const std::string& where)> read;
  std::string version;
};
Registry<TextReader>& text_readers();

/// Deviations of a table from the usual format of .csv and .tsv files.
struct TableFormat {
  char separator = 0;                  ///< 0: by the file's extension
  std::vector<std::string> columns{};  ///< the fields' names; empty: in the first line
};

/// The items of a file, by its extension: .json (an array of objects), .jsonl, .csv and .tsv
/// (the first line names the fields), .txt (one item with the field "text"), each with or without
/// .gz; and .parquet. Integers outside 64 bits become strings of their digits. DataError naming
/// file and line when it cannot be read, is not UTF-8 or has another format.
std::vector<TextItem> read_text_file(const fs::path& path, const TableFormat& format = {});
/// The extension that determines the format, for example ".csv"; without .gz.
std::string text_file_kind(const fs::path& path);

/// The lines of a file, without line ends and without an empty last one.
std::vector<std::string> read_lines(const fs::path& path);

/// A field by its path, "choices.text.0": keys of objects and indices of arrays. A key that
/// contains dots takes precedence. DataError naming the item and the nearest field when there is
/// none.
const Json& text_field(const TextItem& item, const std::string& path);

/// A string unchanged, a number or Boolean as JSON. DataError for other types.
std::string field_text(const TextItem& item, const std::string& path);

/// A field as Jinja, the templates of lm-evaluation-harness, prints it: True, False, None, numbers
/// as Python's repr. DataError for lists and objects.
std::string printed_field(const TextItem& item, const std::string& path);

}  // namespace assay

#define ASSAY_TEXT_READER(name, function, version) \
  ASSAY_REGISTER([] { ::assay::text_readers().add(name, ::assay::TextReader{function, version}); })
