"""Writes tests/golden/assignment.json: the largest sums of linear assignments that SciPy finds.

The matrices are a formula of their indices, which tests/kernels/test_assignment.cpp computes, too.
"""

import json
import pathlib

import numpy as np
from scipy.optimize import linear_sum_assignment

SIZES = [50, 200, 1000, 3072]


def matrix(n: int) -> np.ndarray:
    """A 32-bit hash of the place, as a fraction; products of small rows make entries correlate."""
    i, j = np.arange(n, dtype=np.uint64)[:, None], np.arange(n, dtype=np.uint64)[None, :]
    x = (i * np.uint64(2654435761) + j * np.uint64(40503) + i * j * np.uint64(97)) % np.uint64(2**32)
    x = (x ^ (x >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    x = (x ^ (x >> np.uint64(13))) * np.uint64(3266489917) % np.uint64(2**32)
    return (x ^ (x >> np.uint64(16))).astype(np.float64) / 2**32


def main() -> None:
    sums = {}
    for n in SIZES:
        scores = matrix(n)
        rows, columns = linear_sum_assignment(scores, maximize=True)
        sums[str(n)] = float(scores[rows, columns].sum())
    golden = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "assignment.json"
    golden.write_text(json.dumps(sums, indent=2) + "\n")


if __name__ == "__main__":
    main()
