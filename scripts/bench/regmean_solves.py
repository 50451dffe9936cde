#!/usr/bin/env python3
"""Times SciPy's Cholesky solves of the shapes that bench_regmean fits. Needs numpy and scipy.

  ENV/bin/python scripts/bench/regmean_solves.py [--rounds 7]

Each round factors one positive definite matrix [inputs, inputs] and solves for as many right sides as the
layer has outputs, in float64, on the threads that its BLAS takes (OPENBLAS_NUM_THREADS).
"""
import argparse
import statistics
import time

import numpy as np
from scipy.linalg import cho_factor, cho_solve

SHAPES = {"q_proj, o_proj": (768, 768), "k_proj, v_proj": (96, 768), "gate_proj, up_proj": (2048, 768),
          "down_proj": (768, 2048)}


def solve_seconds(outputs, inputs, rounds):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2 * inputs, inputs))
    matrix = x.T @ x / len(x)
    right = np.asfortranarray(rng.standard_normal((inputs, outputs)))
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        cho_solve(cho_factor(matrix, lower=True), right)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for name, (outputs, inputs) in SHAPES.items():
        print(f"{name:18} [{outputs:4}, {inputs:4}]: SciPy {1e3 * solve_seconds(outputs, inputs, rounds):7.1f} ms")


if __name__ == "__main__":
    main()
