/// Catch2, version 2 (Debian 12) or 3 (elsewhere).
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
// Version 2's name of the matcher, which version 3 gives to another one.
namespace Catch {
using Matchers::ContainsSubstring;
}
#define Contains ContainsSubstring
#else
#include <catch2/catch.hpp>
#endif
