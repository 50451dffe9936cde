// How long it takes to load plugins. usage: bench_plugins [NUMBER]   (50, at most 100)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

#include "harness/core/files.h"
#include "harness/plugin/plugins.h"

int main(int argc, char** argv) {
  using namespace assay;
  const int number = argc > 1 ? std::clamp(std::atoi(argv[1]), 1, 100) : 50;
  const std::string content = read_file(BENCH_PLUGIN), name = "bench_plugin_00";
  std::string folder = (fs::temp_directory_path() / "assay-plugins-XXXXXX").string();
  if (!::mkdtemp(folder.data())) return 1;
  for (int i = 0; i < number; ++i) {
    std::string copy = content;
    const std::string other = fmt::format("bench_plugin_{:02}", i);
    for (size_t at = 0; (at = copy.find(name, at)) != std::string::npos; at += name.size())
      copy.replace(at, name.size(), other);
    write_file(fs::path(folder) / fmt::format("plugin{:02}.so", i), copy);
  }
  ::setenv("ASSAY_PLUGIN_PATH", folder.c_str(), 1);

  const auto start = std::chrono::steady_clock::now();
  load_plugins_of_environment();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;

  fmt::print("{} plugins of {} kB each: {:.3f} s, {:.2f} ms a plugin\n", plugins().size(),
             content.size() / 1000, taken.count(), 1000 * taken.count() / number);
  fs::remove_all(folder);
}
