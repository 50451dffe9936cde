"""Compares strict_match and flexible_match with the filters and the metric of lm-evaluation-harness's task gsm8k.

usage: ENV/bin/python scripts/peers/answer_numbers.py PROGRAM [--gsm8k FILE]     compares every score with lm-eval's
       ENV/bin/python scripts/peers/answer_numbers.py --goldens                  writes tests/golden/answer_numbers.inc

Scores difficult answers (EDGES, also the goldens), random answers from a fixed seed, and, with FILE (test.jsonl of GSM8K),
real solutions and mutations of them. Assay reads them through ASSAY_RESPONSES_DIR as a model's answers. ENV contains
lm-evaluation-harness and transformers.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

SOLUTION = "3 * 335 = <<3*335=1005>>1005.\n#### 1,005"
NEGATIVE = "3 - 15 = -12\n#### -12"
FRACTION = "7 / 2 = 3.5\n#### 3.5"
EDGES = [
    ("#### 1,005", SOLUTION),
    ("#### 1005", SOLUTION),
    ("#### 1005.", SOLUTION),
    ("#### 1005..", SOLUTION),
    ("#### 1005.0", SOLUTION),
    ("#### 1005 boxes", SOLUTION),
    ("#### 1005\n", SOLUTION),
    ("####1005", SOLUTION),
    ("####  1005", SOLUTION),
    ("##### 1005", SOLUTION),
    ("#### $1005", SOLUTION),
    ("#### $1,005.", SOLUTION),
    ("#### -1005", SOLUTION),
    ("#### 1 005", SOLUTION),
    ("#### 10,05", SOLUTION),
    ("#### 1005\n#### 7", SOLUTION),
    ("#### 7\n#### 1005", SOLUTION),
    ("#### seven #### 1005", SOLUTION),
    ("#### ,1005", SOLUTION),
    ("#### ,", SOLUTION),
    ("#### .", SOLUTION),
    ("The answer is 1005.", SOLUTION),
    ("The answer is 1,005!", SOLUTION),
    ("The answer is $1,005.", SOLUTION),
    ("The answer is $1,005.00.", SOLUTION),
    ("The answer is 1005 of 2000.", SOLUTION),
    ("First 7, then 1005", SOLUTION),
    ("1005 is more than 1000", SOLUTION),
    ("1005.", SOLUTION),
    ("1005 ...", SOLUTION),
    ("1005 .", SOLUTION),
    ("1005$", SOLUTION),
    ("1005%", SOLUTION),
    ("x=1005", SOLUTION),
    ("1005x", SOLUTION),
    ("1005-", SOLUTION),
    ("2010-1005", SOLUTION),
    ("2010/1005", SOLUTION),
    ("10-05", SOLUTION),
    ("1005e0", SOLUTION),
    ("one thousand and five", SOLUTION),
    ("", SOLUTION),
    ("-", SOLUTION),
    ("$", SOLUTION),
    ("[invalid]", SOLUTION),
    ("\u0661\u0660\u0660\u0665", SOLUTION),
    ("\uff11\uff10\uff10\uff15", SOLUTION),
    ("So \u221212 degrees", NEGATIVE),
    ("#### -12", NEGATIVE),
    ("#### 12", NEGATIVE),
    ("#### --12", NEGATIVE),
    ("#### - 12", NEGATIVE),
    ("It is -12 degrees.", NEGATIVE),
    ("It is minus 12.", NEGATIVE),
    ("0-12", NEGATIVE),
    ("-$12", NEGATIVE),
    ("$-12", NEGATIVE),
    ("--12", NEGATIVE),
    ("-1-2", NEGATIVE),
    ("#### 3.5", FRACTION),
    ("#### 3.50", FRACTION),
    ("#### 3,5", FRACTION),
    ("#### .5", FRACTION),
    ("3.5.", FRACTION),
    ("3. 5", FRACTION),
    ("7/2", FRACTION),
    ("#### 7", "#### 7 apples"),
    ("7 apples", "#### 7 Apples"),
    ("#### 7", "7"),
    ("#### 7", "7."),
    ("#### 7", "$7"),
    ("#### 7", "#### 7\n"),
    ("#### 7", "#### 8 #### 7"),
    ("#### 7", "#### 7 #### 8"),
    ("#### 7", "####7"),
    ("#### ,", "#### "),
]
STRICT = r"#### (\-?[0-9\.\,]+)"
FLEXIBLE = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
PIECES = ["7", "12", "3.5", "1,005", "0", "-", "$", ".", ",", "#### ", "####", " ", "\n", "so ", "is", "=", "%", "x", "-7", "é", "٣"]


def scores(answer: str, solution: str) -> tuple[float, float]:
    """As lm_eval/tasks/gsm8k/gsm8k.yaml has them: strict-match and flexible-extract."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    found = []
    for pattern, which in ((STRICT, 0), (FLEXIBLE, -1)):
        (number,) = RegexFilter(pattern, which).apply([[answer]], [{}])[0]
        ignored = [",", r"\$", r"(?s).*#### ", r"\.$"]
        match = exact_match_hf_evaluate([number], [solution], regexes_to_ignore=ignored, ignore_case=True)
        found.append(float(match["exact_match"]))
    return tuple(found)


def made_up(count: int) -> list[tuple[str, str]]:
    rng = random.Random(5)
    cases = []
    for _ in range(count):
        answer = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 9)))
        number = rng.choice(["7", "12", "3.5", "1,005", "-7", "0", "$12", "5"])
        cases.append((answer, f"Some steps.\n#### {number}"))
    return cases


def real(file: pathlib.Path, count: int) -> list[tuple[str, str]]:
    solutions = [json.loads(line)["answer"] for line in file.read_text().splitlines()][: count + 1]
    changes = [
        lambda text: text,
        lambda text: text.replace("#### ", "The answer is "),
        lambda text: text.replace("#### ", "#### $") + ".00",
        lambda text: text + ".",
        lambda text: text.split("####")[0],
        lambda text: text + "\n\nQuestion: what is 2 + 2?",
    ]
    cases = [(change(text), text) for text in solutions[:count] for change in changes]
    return cases + list(zip(solutions[1:], solutions[:count]))


def assay(program: str, cases: list[tuple[str, str]]) -> list[tuple[float, float]]:
    """Runs the task with a model that knows nothing, replaces what it wrote and runs it again."""
    from model_cases import random_model

    with tempfile.TemporaryDirectory() as scratch:
        home = pathlib.Path(scratch)
        _, model = random_model("gpt2", random.Random(0), 0, vocab_size=256)  # without a tokenizer a byte is a token
        model.save_pretrained(home / "model")
        items = [{"number": i, "solution": solution} for i, (_, solution) in enumerate(cases)]
        (home / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
        task = {
            "name": "numbers",
            "dataset": {"files": {"test": str(home / "items.jsonl")}},
            "prompt": "{{number}}",
            "target": "{{solution}}",
            "max_tokens": 1,
            "metrics": ["strict_match", "flexible_match"],
        }
        suite = {"summary": "numbers in answers", "kind": "generation", "tasks": [task]}
        (home / "tasks").mkdir()
        (home / "tasks" / "answers.json").write_text(json.dumps(suite))
        environment = dict(os.environ, ASSAY_TASKS_DIR=str(home / "tasks"), ASSAY_RESPONSES_DIR=str(home / "responses"))
        command = [program, "eval", str(home / "model"), "--device", "cpu", "--json", "--tasks", "answers/numbers"]

        def run() -> dict:
            return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)

        run()
        (kept,) = (home / "responses").glob("*.jsonl")
        lines = []
        for line in filter(None, kept.read_text().splitlines()):
            key, value, note = json.loads(line)
            value[0] = cases[int(note.rsplit(" ", 1)[1]) - 1][0]
            lines.append(json.dumps([key, value, note]) + "\n")
        if len(lines) != len(cases):
            sys.exit(f"{len(lines)} answers are kept of {len(cases)}")
        kept.write_text("".join(lines))
        outcomes = {score["metric"]: score["outcomes"] for score in run()["scores"]}
        return list(zip(outcomes["strict_match"], outcomes["flexible_match"]))


def write_goldens() -> None:
    lines = []
    for answer, solution in EDGES:
        texts = ", ".join(json.dumps(text, ensure_ascii=False) for text in (answer, solution))
        strict, flexible = scores(answer, solution)
        lines.append(f"{{{texts}, {strict:.0f}, {flexible:.0f}}},\n")
    root = pathlib.Path(__file__).resolve().parents[2]
    (root / "tests" / "golden" / "answer_numbers.inc").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?")
    parser.add_argument("--gsm8k", type=pathlib.Path)
    parser.add_argument("--goldens", action="store_true")
    options = parser.parse_args()
    if options.goldens:
        return write_goldens()
    if not options.program:
        parser.error("PROGRAM or --goldens is needed")
    cases = EDGES + made_up(1000) + (real(options.gsm8k, 300) if options.gsm8k else [])
    wanted = [scores(*case) for case in cases]
    found = assay(options.program, cases)
    wrong = [(case, a, b) for case, a, b in zip(cases, found, wanted) if a != b]
    for (answer, solution), ours, theirs in wrong[:10]:
        print(f"  {answer!r} for {solution!r}: Assay {ours}, lm-evaluation-harness {theirs}")
    right = [int(sum(pair[i] for pair in wanted)) for i in range(2)]
    print(f"numbers: {len(cases)} answers, {right[0]} strictly right, {right[1]} flexibly, {len(wrong)} scored differently")
    sys.exit(len(wrong) > 0)


if __name__ == "__main__":
    main()
