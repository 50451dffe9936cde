/// Errors inside a method: of LibTorch's operators, and those that are no std::exception.
#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>
#include <string_view>

#include "harness/core/error.h"

namespace assay {

/// Runs `work`. An operator's error, without LibTorch's backtrace, or a thrown value of another
/// kind becomes a DataError that names the method and, by `where()` (" in tensor 'w'"), the place.
template <typename Where, typename Work>
auto in_method(std::string_view method, const Where& where, const Work& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    data_error("{} failed{}: {}", method, where(), error.what_without_backtrace());
  } catch (const std::exception&) {
    throw;
  } catch (...) {
    data_error("{} failed{}: it threw something that is no std::exception", method, where());
  }
}

}  // namespace assay
