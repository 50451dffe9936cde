/// One source, several instruction sets: the loader picks the best the machine has.
#pragma once

/// Before a function: it is compiled for AVX-512, AVX2 and the x86-64 baseline. Only what is
/// inlined into it is compiled along, hence ASSAY_ELEMENT and ASSAY_INLINED. Elsewhere than on
/// x86-64, and under sanitizers, which such functions would run ahead of, the function is compiled
/// once. Results are the same everywhere: nothing here reorders or contracts floating-point
/// operations.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ASSAY_VECTORISED \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ASSAY_VECTORISED
#endif
/// After the parameters of a lambda in such a function.
#define ASSAY_INLINED __attribute__((always_inline))

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
/// Where there are AVX-512's intrinsics, for loops that compilers do not find themselves. Before a
/// function that uses them:
#define ASSAY_VECTORS_512
#define ASSAY_TARGET_512 __attribute__((target("avx512f,avx512bw,popcnt")))
#endif
