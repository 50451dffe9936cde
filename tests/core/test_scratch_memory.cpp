#include "harness/core/error.h"
#include "harness/core/scratch_memory.h"
#include "tests/catch.h"
#include "tests/core/temporary_folder.h"

using namespace assay;

TEST_CASE("scratch memory keeps released pages, and leaves no file", "[core]") {
  const TemporaryFolder folder;
  constexpr size_t kBytes = 3 << 20;
  {
    ScratchMemory memory(folder.path(), kBytes);
    for (size_t i = 0; i < kBytes; ++i) memory.data()[i] = static_cast<std::byte>(i % 251);
    memory.release(0, kBytes);
    memory.release(5000, 5001);  // not a full page
    bool same = true;
    for (size_t i = 0; i < kBytes; ++i) same &= memory.data()[i] == static_cast<std::byte>(i % 251);
    CHECK(same);

    ScratchMemory moved = std::move(memory);
    CHECK(moved.data()[250] == static_cast<std::byte>(250));
    CHECK(std::filesystem::is_empty(folder.path()));
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THROWS_AS(ScratchMemory(folder.path() / "none", 1), DataError);
  CHECK_THROWS_AS(ScratchMemory(folder.path(), size_t{1} << 60), DataError);
}
