/// One source, several instruction sets: the loader picks the best the machine has.
#pragma once

/// Before a function: it is compiled for AVX-512, AVX2 and the x86-64 baseline. Only what is
/// inlined into it is compiled along, hence ASSAY_ELEMENT. Elsewhere than on x86-64, and under
/// sanitizers, which such functions would run ahead of, the function is compiled once. Results are
/// the same everywhere: nothing here reorders or contracts floating-point operations.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ASSAY_VECTORISED \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ASSAY_VECTORISED
#endif

namespace assay {

/// Whether vectors of 64-bit integers are multiplied by one instruction.
inline bool multiplies_wide() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512dq") != 0;
#else
  return false;
#endif
}

}  // namespace assay
