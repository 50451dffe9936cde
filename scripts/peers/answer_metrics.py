"""Writes tests/golden/answer_metrics.inc: chrF of sacrebleu and ROUGE-L of rouge_score on a few answers."""

import json
import pathlib

from rouge_score import rouge_scorer
from sacrebleu.metrics import CHRF

CASES = [
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the cat sat on the mat", "a cat was sitting on the mat"),
    ("Yes.", "No."),
    ("", "something"),
    ("ab", "abc"),
    ("größer als früher", "grösser als früher"),
    ("2 + 2 = 4", "The sum of 2 and 2 is 4."),
    ("人工智能", "人工智能很有趣"),
    ("a much longer answer that goes on and on without an end", "a short answer"),
]

lines = []
for answer, reference in CASES:
    chrf = CHRF().sentence_score(answer, [reference]).score / 100
    rouge = rouge_scorer.RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    text = [json.dumps(part, ensure_ascii=False) for part in (answer, reference)]
    lines.append(f"{{{text[0]}, {text[1]}, {chrf:.8f}, {rouge:.8f}}},\n")
root = pathlib.Path(__file__).resolve().parents[2]
(root / "tests" / "golden").mkdir(exist_ok=True)
(root / "tests" / "golden" / "answer_metrics.inc").write_text("".join(lines))
