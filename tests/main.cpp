#define CATCH_CONFIG_RUNNER
#include <ATen/Context.h>

#include <cstdio>
#include <cstring>

#include "tests/catch.h"

// As Catch2's own main, and: with --needs-gpu (first) the exit code is 77, which ctest reports as
// skipped, when there is no GPU.
int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  if (argc > 1 && std::strcmp(argv[1], "--needs-gpu") == 0) {
    if (!at::hasCUDA()) {
      std::puts("SKIPPED: LibTorch finds no GPU");
      return kSkipped;
    }
    argv[1] = argv[0];
    --argc;
    ++argv;
  }
  return Catch::Session().run(argc, argv);
}
