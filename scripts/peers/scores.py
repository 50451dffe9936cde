"""Compares Assay's scores of a language model with lm-evaluation-harness's: same model, same files, offline.

usage: scores.py ASSAY MODEL WORK [--items N] [--reference FILE] [--generation N]
ASSAY is the program, MODEL a Hugging Face folder, WORK a folder for files; run it with the Python of lm-evaluation-harness.
WORK/tasks holds task definitions of lm-eval in YAML and WORK/NAME.jsonl their items {question, choices, label}.
--reference: log-likelihoods measured before, instead of running lm-eval for multiple choice:
  {"tasks": {"local_NAME": {"loglikelihoods": [[...], ...], "acc": ...}}}.
  Those of a run with lm-eval's usual softmax in float32 differ from a run here, which is in float64: by 1.2e-3 in answers of 150 tokens.
Prints one line per task: items whose chosen answer differs, the greatest difference of log-likelihoods, and both metrics.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy

STOPS = ["Question:", "</s>", "<|im_end|>"]
TOKENS = 128
FILTERS = {"strict_match": "strict-match", "flexible_match": "flexible-extract"}
ANSWER = re.compile(r"task '([^']*)': (.*) (?:line|item) (\d+)(?: choice (\d+))?$")


def write_suites(folder, work, names, items):
    """Task definitions for Assay, over the same files."""
    (folder / "tasks").mkdir(parents=True)
    choices = [{"name": n, "dataset": {"files": {"test": part(work / f"{n}.jsonl", items)}}} for n in names]
    suites = {
        "choice": {
            "summary": "multiple choice",
            "kind": "multiple_choice",
            "shared": {"prompt": "Question: {{question}}\nAnswer:", "choices": "{{choices}}"},
            "tasks": choices,
        },
        "writing": {
            "summary": "generation",
            "kind": "generation",
            "tasks": [{
                "name": "numbers",
                "dataset": {"files": {"train": str(work / "train.jsonl"), "test": str(work / "numbers.jsonl")}},
                "prompt": "Question: {{question}}\nAnswer:",
                "target": "{{answer}}",
                "few_shot": {"split": "train", "count": 2},
                "stop": STOPS,
                "max_tokens": TOKENS,
                "metrics": list(FILTERS),
            }],
        },
        "reading": {
            "summary": "perplexity",
            "kind": "perplexity",
            "tasks": [{"name": "text", "dataset": {"files": {"test": str(work / "text.jsonl")}}}],
        },
    }
    for name, suite in suites.items():
        (folder / "tasks" / f"{name}.json").write_text(json.dumps(suite))


def part(path, items):
    return {"path": str(path), "items": items} if items else str(path)


def assay(options, home, tasks, responses):
    environment = dict(os.environ, ASSAY_TASKS_DIR=str(home / "tasks"), ASSAY_RESPONSES_DIR=str(responses))
    command = [options.assay, "eval", options.model, "--dtype", "float32", "--json", "--tasks", *tasks]
    out = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {(s["task"], s["metric"]): s for s in json.loads(out)["scores"]}


def answers(responses):
    """What Assay kept: {task: {(line, choice): answer}}."""
    found = {}
    for path in responses.glob("*.jsonl"):
        for line in path.read_text().splitlines():
            if line:
                _, value, note = json.loads(line)
                task, _, item, choice = ANSWER.match(note).groups()
                found.setdefault(task, {})[int(item) - 1, int(choice or 1) - 1] = value
    return found


def lm_eval(options, work, tasks, few_shot=None):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    return simple_evaluate(
        model="hf",
        # Its softmax over 49,152 tokens in float32 puts every log-likelihood about 9e-6 per token too high.
        model_args={"pretrained": options.model, "dtype": "float32", "softmax_dtype": "float64"},
        tasks=tasks,
        task_manager=TaskManager(include_path=str(work / "tasks")),
        device="cpu",
        batch_size=8,
        num_fewshot=few_shot,
        limit=options.items or None,
        log_samples=True,
        bootstrap_iters=0,
    )


def reference_of(options, work, names):
    if options.reference:
        tasks = json.loads(options.reference.read_text())["tasks"]
        return {n: [row for row in tasks[f"local_{n}"]["loglikelihoods"]] for n in names}
    run = lm_eval(options, work, [f"local_{n}" for n in names])
    return {
        n: [[r[0] for r in s["filtered_resps"]] for s in sorted(run["samples"][f"local_{n}"], key=lambda s: s["doc_id"])]
        for n in names
    }


def accuracies(rows, items):
    """acc and acc_norm as lm-evaluation-harness defines them."""
    plain = [int(numpy.argmax(r)) == d["label"] for r, d in zip(rows, items)]
    norm = [int(numpy.argmax(numpy.array(r) / [len(c) for c in d["choices"]])) == d["label"] for r, d in zip(rows, items)]
    return float(numpy.mean(plain)), float(numpy.mean(norm))


def compare_choices(options, work, home, responses, names):
    scores = assay(options, home, [f"choice/{n}" for n in names], responses)
    kept = answers(responses)
    worst = 0
    for name, theirs in reference_of(options, work, names).items():
        items = [json.loads(line) for line in (work / f"{name}.jsonl").read_text().splitlines()]
        theirs = theirs[: options.items or None]
        by_text = {}
        ours = []
        for i, item in enumerate(items[: len(theirs)]):
            for j, choice in enumerate(item["choices"]):  # equal requests were asked once
                if (i, j) in kept[f"choice/{name}"]:
                    by_text[item["question"], choice] = kept[f"choice/{name}"][i, j][0]
            ours.append([by_text[item["question"], choice] for choice in item["choices"]])
        differ = sum(int(numpy.argmax(a) != numpy.argmax(b)) for a, b in zip(ours, theirs))
        far = max(abs(x - y) for a, b in zip(ours, theirs) for x, y in zip(a, b))
        acc, norm = accuracies(theirs, items)
        mine = [scores[f"choice/{name}", m]["value"] for m in ("acc", "acc_norm")]
        print(f"{name:16} {len(theirs):5} items, {differ} chosen answers differ, log-likelihoods within {far:.1e}; "
              f"acc {mine[0]:.4f} {acc:.4f}, acc_norm {mine[1]:.4f} {norm:.4f}")
        worst += differ + (far > 1e-3) + (abs(mine[0] - acc) > 5e-5) + (abs(mine[1] - norm) > 5e-5)
    return worst


def compare_writing(options, work, home, responses):
    scores = assay(options, home, ["writing/numbers", "reading/text"], responses)
    kept = answers(responses)
    options.items = 0
    run = lm_eval(options, work, ["local_numbers"], few_shot=2)
    samples = {
        metric: sorted((s for s in run["samples"]["local_numbers"] if s["filter"] == name), key=lambda s: s["doc_id"])
        for metric, name in FILTERS.items()
    }
    differ = sum(s["resps"][0][0] != kept["writing/numbers"][s["doc_id"], 0][0] for s in samples["strict_match"])
    print(f"{'generation':16} {len(samples['strict_match']):5} items, {differ} texts differ")
    for metric, theirs in samples.items():
        ours = scores["writing/numbers", metric]
        wrong = sum(a != s["exact_match"] for a, s in zip(ours["outcomes"], theirs, strict=True))
        mean = numpy.mean([s["exact_match"] for s in theirs])
        print(f"{metric:16} {ours['value']:.4f} {mean:.4f}, {wrong} items differ")
        differ += wrong
    run = lm_eval(options, work, ["local_text"])["results"]["local_text"]
    for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        ours, theirs = scores["reading/text", metric]["value"], run[f"{metric},none"]
        print(f"{metric:16} {ours:.6g} {theirs:.6g}")
        differ += abs(ours / theirs - 1) > 5e-5
    return differ


NUMBERS = """task: local_numbers
dataset_path: json
dataset_kwargs: {{data_files: {{train: {work}/train.jsonl, test: {work}/numbers.jsonl}}}}
training_split: train
fewshot_split: train
test_split: test
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
fewshot_config: {{sampler: first_n}}
generation_kwargs: {{until: {stops}, do_sample: false, max_gen_toks: {tokens}}}
"""

# As lm_eval/tasks/gsm8k/gsm8k.yaml has them.
MATCHES = r"""
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    ignore_punctuation: false
    regexes_to_ignore: [",", "\\$", "(?s).*#### ", "\\.$"]
filter_list:
  - name: "strict-match"
    filter: [{function: "regex", regex_pattern: "#### (\\-?[0-9\\.\\,]+)"}, {function: "take_first"}]
  - name: "flexible-extract"
    filter: [{function: "regex", group_select: -1, regex_pattern: "(-?[$0-9.,]{2,})|(-?[0-9]+)"}, {function: "take_first"}]
"""

TEXT = """task: local_text
dataset_path: json
dataset_kwargs: {{data_files: {{test: {work}/text.jsonl}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: byte_perplexity}}, {{metric: bits_per_byte}}]
"""


def write_writing(options, work):
    """Items for generation from WORK/gsm8k, a long text for perplexity from WORK/text.txt, where they are."""
    for source, target, count in (("train", "train", 2), ("test", "numbers", options.generation)):
        lines = (work / "gsm8k" / f"{source}.jsonl").read_text().splitlines()[:count]
        (work / f"{target}.jsonl").write_text("\n".join(lines) + "\n")
    text = (work / "text.txt").read_text()[:14000]
    (work / "text.jsonl").write_text(json.dumps({"text": text[:2000]}) + "\n" + json.dumps({"text": text[2000:]}) + "\n")
    (work / "tasks" / "numbers.yaml").write_text(NUMBERS.format(work=work, stops=json.dumps(STOPS), tokens=TOKENS) + MATCHES)
    (work / "tasks" / "text.yaml").write_text(TEXT.format(work=work))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assay")
    parser.add_argument("model")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--items", type=int, default=0, help="of every multiple-choice task; 0: all")
    parser.add_argument("--reference", type=pathlib.Path)
    parser.add_argument("--generation", type=int, default=0, help="items to generate for, from WORK/gsm8k, and a perplexity of WORK/text.txt")
    parser.add_argument("--tasks", nargs="*", default=["arc_easy", "arc_challenge", "obqa", "piqa"])
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    work = options.work.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        home = pathlib.Path(scratch)
        write_suites(home, work, options.tasks, options.items)
        wrong = compare_choices(options, work, home, home / "choice", options.tasks) if options.tasks else 0
        if options.generation:
            write_writing(options, work)
            wrong += compare_writing(options, work, home, home / "writing")
    sys.exit(f"{wrong} differences" if wrong else 0)


main()
