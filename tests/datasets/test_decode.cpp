#include <ATen/ATen.h>

#include "datasets/decode.h"
#include "harness/core/error.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;
using namespace std::string_literals;

namespace {

// As numpy writes the uint8 array [[1, 2, 3], [4, 5, 6]] with protocol 4, without frames.
std::string small_array(const std::string& dtype = "u1", const std::string& order = "|",
                        const std::string& data = "\x01\x02\x03\x04\x05\x06") {
  const auto text = [](const std::string& word) {
    return std::string("\x8c") + static_cast<char>(word.size()) + word + "\x94";
  };
  std::string p = "\x80\x04";
  p += text("numpy.core.multiarray") + text("_reconstruct") + "\x93\x94";
  p += text("numpy") + text("ndarray") + "\x93\x94";
  p += "K\0\x85\x94"s + "C\x01" + "b\x94\x87\x94R\x94";
  p += "(K\x01K\x02K\x03\x86\x94h\x03";
  p += text("dtype") + "\x93\x94" + text(dtype) + "\x89\x88\x87\x94R\x94";
  p += "(K\x03" + text(order) + "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t\x94"s + "b";
  p += "\x89"s + "B" + static_cast<char>(data.size()) + "\0\0\0"s + data;
  p += "\x94t\x94"s + "b.";
  return p;
}

std::string read_small(const std::string& pickle) {
  return numpy_pickle_bytes(pickle, "|u1", {2, 3}, "array.pkl");
}

}  // namespace

TEST_CASE("a table of bytes is read strictly", "[data]") {
  const at::Tensor table = read_byte_csv("0,255,7\n1,2,3\n", 3, "t.csv");
  CHECK(table.equal(at::tensor({0, 255, 7, 1, 2, 3}).to(at::kByte).reshape({2, 3})));

  CHECK_THROWS_WITH(read_byte_csv("0,256,7\n", 3, "t.csv"), Contains("t.csv: line 1, column 2"));
  CHECK_THROWS_WITH(read_byte_csv("1,2,3\n1,2\n", 3, "t.csv"), Contains("line 2, column 2"));
  CHECK_THROWS_WITH(read_byte_csv("1,2,3,4\n", 3, "t.csv"), Contains("line 1, column 3"));
  CHECK_THROWS_WITH(read_byte_csv("1,-2,3\n", 3, "t.csv"), Contains("line 1, column 2"));
  CHECK_THROWS_WITH(read_byte_csv("1,2,3\n1,2", 3, "t.csv"), Contains("last line is incomplete"));
}

TEST_CASE("bilinear enlargement agrees with values computed by hand", "[data]") {
  // Two pixels to four: centres fall at -0.25, 0.25, 0.75 and 1.25, clamped to 0 and 1.
  const at::Tensor row = at::tensor({0.f, 1.f, 0.f, 1.f}).reshape({1, 2, 2});
  const at::Tensor wide = resize_bilinear(row, 4);
  for (int64_t y = 0; y < 4; ++y) CHECK(wide[0][y].equal(at::tensor({0.f, 0.25f, 0.75f, 1.f})));

  const at::Tensor corner = resize_bilinear(at::tensor({1.f, 0.f, 0.f, 0.f}).reshape({1, 2, 2}), 4);
  CHECK(corner[0][0][0].item<float>() == 1.f);
  CHECK(corner[0][1][1].item<float>() == 0.75f * 0.75f);
  CHECK(corner[0][2][1].item<float>() == 0.25f * 0.75f);
  CHECK(corner[0][3][3].item<float>() == 0.f);

  const at::Tensor same = at::rand({2, 5, 5});
  CHECK(resize_bilinear(same, 5).equal(same));
}

TEST_CASE("images are centred in 28x28", "[data]") {
  const at::Tensor out = centre_in_28(at::ones({1, 20, 20}));
  CHECK(out.sizes() == at::IntArrayRef({1, 1, 28, 28}));
  CHECK(out.sum().item<float>() == 400.f);
  CHECK(out[0][0][4][4].item<float>() == 1.f);
  CHECK(out[0][0][23][23].item<float>() == 1.f);
  CHECK(out[0][0][3][4].item<float>() == 0.f);
  CHECK(out[0][0][24][23].item<float>() == 0.f);
}

TEST_CASE("the bytes of a plain numpy pickle are read", "[data]") {
  CHECK(read_small(small_array()) == "\x01\x02\x03\x04\x05\x06");
}

TEST_CASE("a pickle that is not the expected plain array is rejected", "[data]") {
  CHECK_THROWS_WITH(numpy_pickle_bytes(small_array(), "|u1", {3, 2}, "array.pkl"),
                    Contains("array.pkl") && Contains("shape (3, 2)"));
  CHECK_THROWS_WITH(read_small(small_array("i1")), Contains("type |u1"));
  CHECK_THROWS_WITH(read_small(small_array("u1", ">")), Contains("not a plain numpy array"));
  CHECK_THROWS_WITH(read_small(small_array("u1", "|", "\x01\x02\x03\x04\x05")),
                    "array.pkl: the array has 5 bytes, expected 6");
  CHECK_THROWS_WITH(read_small(small_array() + "x"), Contains("more data after"));
}

TEST_CASE("every truncation of a pickle is rejected", "[data]") {
  const std::string whole = small_array();
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_THROWS_AS(read_small(whole.substr(0, size)), DataError);
  }
}

TEST_CASE("malicious pickles are rejected and not executed", "[data]") {
  // cos\nsystem\n(S'true'\ntR. : runs a command in Python.
  CHECK_THROWS_WITH(read_small("cos\nsystem\n(S'true'\ntR."),
                    Contains("opcode 0x63 at byte 0 is not part of a plain numpy array"));
  // The same by protocol 4: every opcode is known, the names are not.
  const std::string names = std::string("\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94", 18);
  CHECK_THROWS_WITH(read_small(names + "\x8c\x04true\x94\x85\x94R."), Contains("'os' 'system'"));
  // A block that claims 4 GiB, and a text longer than the file.
  CHECK_THROWS_WITH(read_small("\x80\x04"
                               "B\xff\xff\xff\xff"),
                    Contains("truncated"));
  CHECK_THROWS_WITH(read_small("\x80\x04\x8c\xffx"), Contains("truncated"));
  // A second block of data instead of the first.
  std::string twice = small_array();
  twice.insert(twice.size() - 5, std::string("B\x01\x00\x00\x00z", 6));
  CHECK_THROWS_AS(read_small(twice), DataError);
}
