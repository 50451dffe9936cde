#include <stdexcept>

static int begin() { throw std::runtime_error("no licence"); }
[[maybe_unused]] static const int begun = begin();
