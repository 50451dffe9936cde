// The one symbol of a plugin: with what it was built. assay_add_plugin() compiles this file into
// every plugin, and Assay's library holds it, too; both strings must be equal. The loader reads it
// from the file, since opening a library already runs code of it.
#include <torch/version.h>

#include <string>  // defines the macros of the standard library

#include "harness/plugin/headers_hash.h"

#define ASSAY_TEXT(value) #value
#define ASSAY_VALUE(macro) ASSAY_TEXT(macro)

// To be raised when what a plugin may rely on changes in a way that headers do not show.
#define ASSAY_PLUGIN_INTERFACE 1

#if defined(__clang__)
#define ASSAY_COMPILER "Clang " ASSAY_VALUE(__clang_major__)
#else
#define ASSAY_COMPILER "GCC " ASSAY_VALUE(__GNUC__)
#endif

#if defined(_LIBCPP_VERSION)
#define ASSAY_STANDARD_LIBRARY "libc++ " ASSAY_VALUE(_LIBCPP_VERSION)
#elif defined(_GLIBCXX_DEBUG)
#define ASSAY_STANDARD_LIBRARY "libstdc++ " ASSAY_VALUE(_GLIBCXX_RELEASE) " with _GLIBCXX_DEBUG"
#elif _GLIBCXX_USE_CXX11_ABI
#define ASSAY_STANDARD_LIBRARY "libstdc++ " ASSAY_VALUE(_GLIBCXX_RELEASE)
#else
#define ASSAY_STANDARD_LIBRARY "libstdc++ " ASSAY_VALUE(_GLIBCXX_RELEASE) " of before C++11"
#endif

// Classes of LibTorch have other members without it.
#if defined(NDEBUG)
#define ASSAY_ASSERTIONS ""
#else
#define ASSAY_ASSERTIONS ", without NDEBUG"
#endif

extern "C" {
extern __attribute__((visibility("default"))) const char assay_plugin_abi[];
// `used`: nothing of a plugin refers to it.
__attribute__((used)) const char assay_plugin_abi[] = "plugin interface " ASSAY_VALUE(
    ASSAY_PLUGIN_INTERFACE) ", " ASSAY_COMPILER ", " ASSAY_STANDARD_LIBRARY
                            ", LibTorch " ASSAY_VALUE(TORCH_VERSION_MAJOR) "." ASSAY_VALUE(
                                TORCH_VERSION_MINOR) "." ASSAY_VALUE(TORCH_VERSION_PATCH)
                                ASSAY_ASSERTIONS ", headers " ASSAY_HEADERS_HASH;
}
