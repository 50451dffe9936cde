/// docs/methods.md: what the registry says of every method.
#pragma once

#include <string>

namespace assay::cli {

/// Markdown. A test holds docs/methods.md to it.
std::string methods_page();

}  // namespace assay::cli
