#include <ATen/ATen.h>

#include <fstream>

#include "harness/checkpoint/checkpoint.h"
#include "harness/core/error.h"
#include "harness/core/files.h"
#include "tests/catch.h"
#include "tests/checkpoint/write_safetensors.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

namespace {

/// A file with the given header text and `data_bytes` zero bytes after it.
fs::path write_raw(const fs::path& path, const std::string& header, size_t data_bytes) {
  std::ofstream out(path, std::ios::binary);
  const uint64_t size = header.size();
  out.write(reinterpret_cast<const char*>(&size), sizeof size);
  out << header << std::string(data_bytes, '\0');
  return path;
}

std::string safetensors_error(const fs::path& path) {
  try {
    SafetensorsFile::open(path);
  } catch (const DataError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a written file reads back with names, dtypes, shapes and bytes", "[checkpoint]") {
  const TemporaryFolder folder;
  const StateDict tensors{{"b.weight", at::arange(6).to(at::kFloat).reshape({2, 3})},
                          {"a", at::full({}, 2.5, at::kDouble)},
                          {"half", at::full({3}, 1.5, at::kBFloat16)},
                          {"empty", at::empty({0, 4})},
                          {"steps", at::full({1}, int64_t{7}, at::kLong)}};

  write_safetensors(folder.path() / "x.safetensors", tensors);
  const auto file = SafetensorsFile::open(folder.path() / "x.safetensors");

  REQUIRE(file->tensors().size() == tensors.size());
  size_t index = 0;
  for (const auto& [name, tensor] : tensors) {
    const TensorInfo& info = file->tensors()[index];
    CHECK(info.name == name);
    CHECK(info.dtype == tensor.scalar_type());
    CHECK(at::equal(file->read(index), tensor));
    ++index;
  }
}

TEST_CASE("a tensor outlives the file object it was read from", "[checkpoint]") {
  const TemporaryFolder folder;
  write_safetensors(folder.path() / "x.safetensors", {{"w", at::arange(4).to(at::kFloat)}});

  const at::Tensor tensor = SafetensorsFile::open(folder.path() / "x.safetensors")->read(0);

  CHECK(tensor.sum().item<float>() == 6.0f);
}

TEST_CASE("damaged files are rejected with the file and the tensor named", "[checkpoint]") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "bad.safetensors";
  const std::string entry = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

  SECTION("truncated data") {
    write_raw(path, entry, 7);
    CHECK_THAT(safetensors_error(path), Catch::Contains("truncated") && Catch::Contains("'w'") &&
                                            Catch::Contains("bad.safetensors"));
  }
  SECTION("trailing bytes") {
    write_raw(path, entry, 9);
    CHECK_THAT(safetensors_error(path), Catch::Contains("9 bytes of data"));
  }
  SECTION("shorter than the length field") {
    write_file(path, "abc");
    CHECK_THAT(safetensors_error(path), Catch::Contains("truncated"));
  }
  SECTION("a header longer than the file") {
    write_file(path, std::string("\xff\xff\x00\x00\x00\x00\x00\x00", 8));
    CHECK_THAT(safetensors_error(path), Catch::Contains("header"));
  }
  SECTION("a header that is not JSON") {
    write_raw(path, "{]", 0);
    CHECK_THAT(safetensors_error(path), Catch::Contains("JSON"));
  }
  SECTION("an unknown dtype") {
    write_raw(path, R"({"w":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8);
    CHECK_THAT(safetensors_error(path), Catch::Contains("F31"));
  }
  SECTION("a shape whose size overflows") {
    write_raw(path, R"({"w":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}})",
              8);
    CHECK_THAT(safetensors_error(path), Catch::Contains("too large"));
  }
  SECTION("an empty tensor with sizes whose product overflows") {
    write_raw(path,
              R"({"w":{"dtype":"U8","shape":[9223372036854775807,2,0],"data_offsets":[0,0]}})", 0);
    CHECK_THAT(safetensors_error(path), Catch::Contains("too large"));
  }
  SECTION("a tensor that is described twice") {
    write_raw(path,
              R"({"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
              R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
              1);
    CHECK_THAT(safetensors_error(path), Catch::Contains("'w' appears twice"));
  }
  SECTION("lists nested so deep that following them would overflow the stack") {
    const size_t levels = 1'000'000;
    write_raw(path,
              R"({"w":{"dtype":"U8","data_offsets":[0,1],"shape":)" + std::string(levels, '[') +
                  std::string(levels, ']') + "}}",
              1);
    CHECK_THAT(safetensors_error(path), Catch::Contains("levels deep"));
  }
  SECTION("a negative size") {
    write_raw(path, R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8);
    CHECK_THAT(safetensors_error(path), Catch::Contains("shape"));
  }
  SECTION("offsets that disagree with the shape") {
    write_raw(path, R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4);
    CHECK_THAT(safetensors_error(path), Catch::Contains("8 bytes"));
  }
  SECTION("overlapping tensors") {
    write_raw(path,
              R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
              R"("w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
              12);
    CHECK_THAT(safetensors_error(path), Catch::Contains("'w'") && Catch::Contains("byte 4"));
  }
}
