/// Errors of LibTorch's operators inside a method. For the files of this folder.
#pragma once

#include <c10/util/Exception.h>

#include <string>
#include <string_view>

#include "harness/core/error.h"

namespace assay {

/// Runs `work`. What an operator complains of becomes a DataError that names the method and, by
/// `where()` as " in tensor 'w'", the place, without LibTorch's backtrace.
template <typename Where, typename Work>
auto in_method(std::string_view method, const Where& where, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    data_error("{} failed{}: {}", method, where(), error.what_without_backtrace());
  }
}

}  // namespace assay
