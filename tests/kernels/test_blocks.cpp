#include "harness/kernels/blocks.h"

#include <atomic>
#include <stdexcept>

#include "tests/catch.h"
#include "tests/merge/models.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("every block is handed out once, whatever the number of threads", "[kernels]") {
  for (const int threads : {1, 2, 3, 8, 2}) {
    const Threads some(threads);
    for (const int64_t count : {int64_t{0}, int64_t{1}, kBlock, 37 * kBlock + 5}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(num_blocks(count)));
      std::atomic<int64_t> elements{0};
      share_blocks(count, [&](BlockQueue& queue) {
        for (Block block; queue.next(block);) {
          ++seen[static_cast<size_t>(block.index)];
          for_runs(block, [&](int64_t, int64_t size) { elements += size; });
        }
      });
      CHECK(elements == count);
      CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }));
    }
  }
}

TEST_CASE("of blocks that fail, the first one's error is reported", "[kernels]") {
  for (const int threads : {1, 2, 8}) {
    const Threads some(threads);
    const auto body = [](BlockQueue& queue) {
      for (Block block; queue.next(block);)
        if (block.index % 5 == 4) throw std::runtime_error(std::to_string(block.index));
    };
    for (int again = 0; again < 20; ++again)
      CHECK_THROWS_WITH(share_blocks(37 * kBlock, body), "4");
  }
}
