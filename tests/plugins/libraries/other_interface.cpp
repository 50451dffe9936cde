// Built against another interface. Says so in a file when any of its code runs.
#include <cstdio>
#include <cstdlib>

extern "C" {
extern const char assay_plugin_abi[];
__attribute__((used)) const char assay_plugin_abi[] = "plugin interface 0, of long ago";
}

static int begin() {
  if (std::FILE* file = std::fopen(std::getenv("ASSAY_TEST_RAN"), "w")) std::fclose(file);
  return 0;
}
[[maybe_unused]] static const int begun = begin();
