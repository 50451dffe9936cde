#include "harness/task/internal/parquet_file.h"

#ifdef ASSAY_PARQUET
#include <arrow/api.h>
#include <arrow/io/file.h>
#include <parquet/arrow/reader.h>
#endif

#include "harness/core/error.h"
#include "harness/core/text_encoding.h"

namespace assay {

#ifdef ASSAY_PARQUET
namespace {

void check(const arrow::Status& status, const fs::path& path) {
  if (!status.ok()) data_error("{}: {}", path.string(), status.message());
}

template <typename T>
T value_of(arrow::Result<T> result, const fs::path& path) {
  check(result.status(), path);
  return std::move(result).ValueUnsafe();
}

/// Turns entries of columns into JSON. `where`: the file and the column, for messages.
class Converter {
 public:
  explicit Converter(std::string where) : where_(std::move(where)) {}

  Json entry(const arrow::Array& array, int64_t row) const {
    if (array.IsNull(row)) return nullptr;
    switch (array.type_id()) {
      case arrow::Type::BOOL:
        return static_cast<const arrow::BooleanArray&>(array).Value(row);
      case arrow::Type::INT8:
        return number<arrow::Int8Array>(array, row);
      case arrow::Type::INT16:
        return number<arrow::Int16Array>(array, row);
      case arrow::Type::INT32:
        return number<arrow::Int32Array>(array, row);
      case arrow::Type::INT64:
        return number<arrow::Int64Array>(array, row);
      case arrow::Type::UINT8:
        return number<arrow::UInt8Array>(array, row);
      case arrow::Type::UINT16:
        return number<arrow::UInt16Array>(array, row);
      case arrow::Type::UINT32:
        return number<arrow::UInt32Array>(array, row);
      case arrow::Type::UINT64:
        return number<arrow::UInt64Array>(array, row);
      case arrow::Type::FLOAT:
        return number<arrow::FloatArray>(array, row);
      case arrow::Type::DOUBLE:
        return number<arrow::DoubleArray>(array, row);
      case arrow::Type::STRING:
        return text(static_cast<const arrow::StringArray&>(array).GetView(row));
      case arrow::Type::LARGE_STRING:
        return text(static_cast<const arrow::LargeStringArray&>(array).GetView(row));
      case arrow::Type::LIST:
        return list(static_cast<const arrow::ListArray&>(array), row);
      case arrow::Type::LARGE_LIST:
        return list(static_cast<const arrow::LargeListArray&>(array), row);
      case arrow::Type::STRUCT:
        return object(static_cast<const arrow::StructArray&>(array), row);
      case arrow::Type::DICTIONARY: {
        const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
        return entry(*coded.dictionary(), coded.GetValueIndex(row));
      }
      default:
        data_error(
            "{} has the type {}: text, numbers, Booleans, and lists and structs of them are read",
            where_, array.type()->ToString());
    }
  }

 private:
  template <typename Array>
  static Json number(const arrow::Array& array, int64_t row) {
    return static_cast<const Array&>(array).Value(row);
  }
  Json text(std::string_view value) const {
    if (const std::string problem = encoding_problem(value); !problem.empty())
      data_error("{} {}", where_, problem);
    return value;
  }
  template <typename Lists>
  Json list(const Lists& lists, int64_t row) const {
    Json all = Json::array();
    for (int64_t i = lists.value_offset(row); i < lists.value_offset(row + 1); ++i)
      all.push_back(entry(*lists.values(), i));
    return all;
  }
  Json object(const arrow::StructArray& structs, int64_t row) const {
    Json fields = Json::object();
    for (int i = 0; i < structs.num_fields(); ++i)
      fields[structs.struct_type()->field(i)->name()] = entry(*structs.field(i), row);
    return fields;
  }

  std::string where_;
};

std::vector<TextItem> rows_of(const arrow::Table& table, const std::string& file) {
  std::vector<TextItem> items;
  for (int64_t row = 0; row < table.num_rows(); ++row)
    items.push_back({Json::object(), fmt::format("{} row {}", file, row + 1)});
  for (int column = 0; column < table.num_columns(); ++column) {
    const std::string name = table.field(column)->name();
    const Converter converter(fmt::format("{}: column '{}'", file, name));
    size_t item = 0;
    for (const auto& chunk : table.column(column)->chunks())
      for (int64_t row = 0; row < chunk->length(); ++row)
        items[item++].fields[name] = converter.entry(*chunk, row);
  }
  return items;
}

}  // namespace

bool has_parquet() { return true; }

std::vector<TextItem> read_parquet(const fs::path& path) {
  try {
    const auto file = value_of(arrow::io::ReadableFile::Open(path.string()), path);
    const auto reader =
        value_of(parquet::arrow::OpenFile(file, arrow::default_memory_pool()), path);
    reader->set_use_threads(false);
    return rows_of(*value_of(reader->ReadTable(), path), path.string());
  } catch (const parquet::ParquetException& e) {
    data_error("{}: {}", path.string(), e.what());
  }
}

#else

bool has_parquet() { return false; }

std::vector<TextItem> read_parquet(const fs::path& path) {
  user_error(
      "{}: Assay was built without Parquet. 'scripts/fetch_arrow.sh' fetches what reads it, and "
      "the next build uses it; or convert the file to JSON lines "
      "(datasets.load_dataset(\"parquet\", data_files=...)[\"train\"].to_json(...))",
      path.string());
}

#endif

}  // namespace assay
