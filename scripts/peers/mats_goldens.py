#!/usr/bin/env python3
"""Prints what SciPy's conjugate gradients give for the matrices of tests/methods/test_mats.cpp.

usage: ENV/bin/python scripts/peers/mats_goldens.py       (ENV holds numpy and scipy)

As in the code of MaTS, the unknown matrix is flattened, and the start is the mean of the experts.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

INPUTS, OUTPUTS, EXAMPLES = 5, 3, 8


def formula(rows, columns, a, b, offset, modulus):
    values = [[(a * r + b * c + offset) % modulus - modulus // 2 for c in range(columns)] for r in range(rows)]
    return np.array(values) / 4


def main():
    grams, experts = [], []
    for i in range(2):
        x = formula(EXAMPLES, INPUTS, 3, 5, 7 * i, 11)
        grams.append(x.T @ x / EXAMPLES)
        experts.append(formula(OUTPUTS, INPUTS, 2, 3, 5 * i, 7))
    total = (grams[0] + grams[1]) / 2
    right = sum(gram @ expert.T for gram, expert in zip(grams, experts)) / 2
    shape = (INPUTS, OUTPUTS)
    size = INPUTS * OUTPUTS
    operator = LinearOperator((size, size), matvec=lambda v: (total @ v.reshape(shape)).ravel())
    start = (sum(experts) / 2).T.ravel()
    for options in ({"rtol": 0, "maxiter": 3}, {"rtol": 0.05, "maxiter": 100}):
        steps = []
        x, _ = cg(operator, right.ravel(), x0=start, atol=0, callback=steps.append, **options)
        print(options, len(steps), "steps")
        print(np.array2string(x.reshape(shape).T, precision=10, separator=", "))


if __name__ == "__main__":
    main()
