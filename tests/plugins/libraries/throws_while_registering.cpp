#include <stdexcept>

#include "harness/core/registry.h"

[[maybe_unused]] static const bool registered =
    assay::register_entry([] { throw std::runtime_error("no licence"); });
