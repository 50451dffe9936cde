/// Errors of LibTorch's operators inside a method.
#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <string_view>

#include "harness/core/error.h"

namespace assay {

/// Runs `work`. An operator's error becomes a DataError, without LibTorch's backtrace, that names
/// the method and, by `where()` (" in tensor 'w'"), the place.
template <typename Where, typename Work>
auto in_method(std::string_view method, const Where& where, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    data_error("{} failed{}: {}", method, where(), error.what_without_backtrace());
  }
}

}  // namespace assay
