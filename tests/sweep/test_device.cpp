#include "harness/sweep/device.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "harness/sweep/cell.h"
#include "tests/catch.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("devices are named one by one or as a list", "[sweep]") {
  CHECK(parse_devices("cpu") == std::vector<at::Device>{at::kCPU});
  CHECK(parse_devices("auto").size() == 1);
  CHECK(device_text(parse_devices("cpu")) == "cpu");
  CHECK(device_text({at::Device(at::kCUDA, 0), at::Device(at::kCUDA, 1)}) == "cuda:0,cuda:1");
  CHECK_THROWS_WITH(parse_devices("cpu,cpu"), Contains("'cpu' stands twice"));
  CHECK_THROWS_WITH(parse_devices("cpu,gpu"), Contains("'gpu'"));
  CHECK_THROWS_AS(parse_devices("cpu,"), UserError);
  CHECK_THROWS_AS(parse_devices("cpu,cuda:99"), UserError);
}

TEST_CASE("scores depend on the kinds of device, not on which", "[sweep]") {
  const auto key = [](const std::string& device) {
    Cell cell;
    cell.kind = "model";
    cell.device = device;
    return cell.key();
  };
  CHECK(device_kinds("cuda:0,cuda:1") == "cuda");
  CHECK(device_kinds("cuda:0,cpu") == "cuda,cpu");
  CHECK(key("cuda:0") == key("cuda:1,cuda:2"));
  CHECK(key("cuda:0") != key("cuda:0,cpu"));
  CHECK(key("cpu") != key("cuda:0,cpu"));
}
