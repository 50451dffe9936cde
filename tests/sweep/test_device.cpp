#include "harness/sweep/device.h"

#include <ATen/ATen.h>

#include "harness/core/error.h"
#include "tests/catch.h"
#include "tests/sweep/run_alone.h"

using namespace assay;
using Catch::Matchers::Contains;

TEST_CASE("devices are named one by one or as a list", "[sweep]") {
  CHECK(parse_devices("cpu") == std::vector<at::Device>{at::kCPU});
  CHECK(parse_devices("auto").size() == 1);
  CHECK(device_text(parse_devices("cpu")) == "cpu");
  CHECK(device_text({at::Device(at::kCUDA, 0), at::Device(at::kCUDA, 1)}) == "cuda:0,cuda:1");
  CHECK_THROWS_WITH(parse_devices("cpu,cpu"), Contains("'cpu' is named twice"));
  CHECK_THROWS_WITH(parse_devices("cpu,gpu"), Contains("'gpu'"));
  CHECK_THROWS_AS(parse_devices("cpu,"), UserError);
  CHECK_THROWS_AS(parse_devices("cpu,cuda:99"), UserError);
  CHECK_THROWS_WITH(parse_devices("cuda:999"), Contains("'cuda:999' is not there"));
}

TEST_CASE("scores depend on the kinds of device, not on which", "[sweep]") {
  const at::Device cpu = at::kCPU, first(at::kCUDA, 0), second(at::kCUDA, 1);
  const auto key = [](const Devices& devices) {
    Cell cell;
    cell.devices = devices;
    return cell.key();
  };
  CHECK(device_kinds({cpu}) == "cpu");
  CHECK(device_kinds({first, second}) == "cuda");
  CHECK(device_kinds({first, cpu}) == "cuda,cpu");
  CHECK(key({first}) == key({second, first}));
  CHECK(key({first}) != key({first, cpu}));
  CHECK(key({cpu}) != key({first, cpu}));
}

TEST_CASE("devices are read from their text whether they are available or not", "[sweep]") {
  const Devices devices{at::Device(at::kCUDA, 98), at::Device(at::kCUDA, 99), at::kCPU};
  CHECK(devices_from_text(device_text(devices)) == devices);
  CHECK_THROWS_WITH(devices_from_text("cuda:1,cuda:1"), Contains("twice"));
  CHECK_THROWS_WITH(devices_from_text("auto"), Contains("'auto'"));
  CHECK_NOTHROW(check_available({at::kCPU}));
  CHECK_THROWS_WITH(check_available(devices), Contains("'cuda:98' is not there"));
  Cell cell;
  cell.devices = devices;
  CHECK_THAT(test::run_alone(cell).reason, Contains("'cuda:98' is not there"));
}
