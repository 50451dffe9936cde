"""Writes tests/golden/agreement.json: SciPy's correlations and scikit-learn's macro F1 and Matthews correlation of small lists.

usage: ENV/bin/python scripts/peers/agreement.py      (ENV holds scipy and scikit-learn)
"""

import json
import pathlib
import random

from scipy import stats
from sklearn import metrics

rng = random.Random(3)


def numbers(count: int) -> dict:
    x = [round(rng.gauss(0, 1), 2) for _ in range(count)]
    y = [round(value + rng.choice([-2, -1, -1, 0, 1]), 0) for value in x]  # with ties
    return {"x": x, "y": y, "spearman": stats.spearmanr(x, y)[0], "pearson": stats.pearsonr(x, y)[0]}


def labels(count: int, classes: list[int], predicted: list[int]) -> dict:
    truth = [rng.choice(classes) for _ in range(count)]
    found = [label if rng.random() < 0.5 else rng.choice(predicted) for label in truth]
    return {
        "labels": truth,
        "predictions": found,
        "macro_f1": metrics.f1_score(truth, found, average="macro"),
        "matthews": metrics.matthews_corrcoef(truth, found),
    }


cases = {
    "numbers": [numbers(count) for count in (2, 5, 12, 40)],
    "labels": [
        labels(8, [0, 1], [0, 1]),
        labels(30, [0, 1, 2], [0, 1, 2]),
        labels(30, [0, 2], [0, 2, 4]),  # class 1 and 3 are no one's
        labels(6, [1], [0, 1]),  # no correlation
    ],
}
out = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/agreement.json"
out.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
