"""Writes tests/golden/text_router.json: a router of texts by scikit-learn's TfidfTransformer and LogisticRegression.

usage: ENV/bin/python scripts/peers/text_router.py      (ENV holds scikit-learn and NumPy)
"""

import json
import pathlib

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

VOCABULARY = 16
WEIGHT_DECAY = 0.01
# The examples of three experts, as tokens.
TEXTS = [
    [[0, 1, 1, 4], [0, 4, 4, 5], [1, 5, 9, 9]],
    [[0, 2, 2, 6], [2, 6, 6, 7]],
    [[0, 3, 8, 8], [3, 3, 9, 2], [8, 0, 0, 3], [8, 9, 1, 3]],
]
PROMPTS = [[1, 4], [2, 7, 0], [3, 9], [0], [15]]


def counts(texts: list[list[int]]) -> np.ndarray:
    return np.stack([np.bincount(text, minlength=VOCABULARY) for text in texts]).astype(np.float64)


def main() -> None:
    texts = counts([text for of_expert in TEXTS for text in of_expert])
    owners = [i for i, of_expert in enumerate(TEXTS) for _ in of_expert]
    weighting = TfidfTransformer(norm="l2", smooth_idf=True).fit(texts)
    model = LogisticRegression(C=1 / (len(texts) * WEIGHT_DECAY), fit_intercept=False, tol=1e-12, max_iter=100000)
    model.fit(weighting.transform(texts), owners)
    golden = {
        "vocabulary": VOCABULARY,
        "weight_decay": WEIGHT_DECAY,
        "texts": TEXTS,
        "idf": weighting.idf_.tolist(),
        "rows": model.coef_.tolist(),
        "prompts": PROMPTS,
        "shares": model.predict_proba(weighting.transform(counts(PROMPTS))).tolist(),
    }
    path = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "text_router.json"
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
