"""Makes cells of sweeps/smol.json again with mergekit and lm-evaluation-harness, and compares them item by item.

usage: ENV/bin/python scripts/peers/smol.py ASSAY STORE MODELS DATA WORK [--threads 2]

STORE is the sweep's results (out/smol.sqlite), MODELS the folder of its experts (out/models/smol), DATA the folder with multiple_choice/,
WORK a folder for files. ENV is the environment of install.sh. Each merge is written by mergekit from the same experts, in float32, and scored by
lm-evaluation-harness on the same items with the same prompts; both are timed. Exit status 1 where more items differ than half a percent: merges
whose bits are equal still add up their activations in another order, so that an item whose two best answers are nearly equal can turn.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import time

import torch

EXPERTS = ["arc-easy", "openbookqa", "gsm8k"]
# Row of the sweep -> mergekit's configuration without its models.
CELLS = {
    "average": {"merge_method": "linear"},
    "task_arithmetic 1": {"merge_method": "task_arithmetic"},
    "ties@mergekit, density 0.2": {"merge_method": "ties", "parameters": {"density": 0.2}},
}
TASKS = {
    "knowledge/arc-easy": ("ARC-Easy", "Question: {{question}}\\nAnswer:"),
    "knowledge/openbookqa": ("openbookqa", "{{question}}"),
}
YAML = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{prompt}"
doc_to_target: label
doc_to_choice: choices
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""


def items_of(path):
    """The questions of LLM-Adapters' files: "question: ... Answer1: x Answer2: y ... Answer format"."""
    for item in json.loads(path.read_text()):
        answers = re.search(r"\n\n(Answer1:.*?)(?:\n\nAnswer format|$)", item["instruction"], re.S)
        question = item["instruction"][: answers.start()].split("question: ", 1)[-1].strip()
        choices = [choice.strip() for choice in re.split(r"Answer\d+:", answers[1])[1:]]
        yield {"question": question, "choices": choices, "label": int(item["answer"][-1]) - 1}


def write_tasks(data, work, counts):
    for name, (folder, prompt) in TASKS.items():
        short = name.split("/")[1].replace("-", "_")
        file = work / f"{short}.jsonl"
        items = list(items_of(data / "multiple_choice" / folder / "test.json"))[: counts[name]]
        file.write_text("".join(json.dumps(item) + "\n" for item in items))
        (work / "tasks").mkdir(exist_ok=True)
        (work / "tasks" / f"{short}.yaml").write_text(YAML.format(name=f"smol_{short}", file=file, prompt=prompt))


def stored(store, label):
    """{(task, metric): outcomes} of one row of the sweep, of the experts that were trained whole."""
    rows = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
        """SELECT t.name, s.metric, s.outcomes FROM placements p JOIN expert_sets e ON e.id = p.expert_set
           JOIN scores s ON s.run = p.run JOIN tasks t ON t.id = s.task
           WHERE p.row_name = ? AND e.name = 'full' AND s.split = 'test'""", (label,))
    return {(task, metric): json.loads(outcomes) for task, metric, outcomes in rows}


def mergekit(config, models, base, work):
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    parameters = {"weight": 1.0}
    config = dict(config, dtype="float32", models=[{"model": str(models / e), "parameters": parameters} for e in EXPERTS])
    if config["merge_method"] != "linear":
        config["base_model"] = str(base)
    out = work / "merged"
    shutil.rmtree(out, ignore_errors=True)
    run_merge(MergeConfiguration.model_validate(config), str(out), MergeOptions(copy_tokenizer=True, quiet=True))
    return out


def lm_eval(folder, work):
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    names = [f"smol_{name.split('/')[1].replace('-', '_')}" for name in TASKS]
    run = simple_evaluate(model="hf", model_args={"pretrained": str(folder), "dtype": "float32"}, tasks=names, device="cpu", batch_size=8,
                          task_manager=TaskManager(include_path=str(work / "tasks")), log_samples=True, bootstrap_iters=0)
    return {(task, metric): [s[metric] for s in sorted(run["samples"][name], key=lambda s: s["doc_id"])]
            for task, name in zip(TASKS, names) for metric in ("acc", "acc_norm")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assay")
    for name in ("store", "models", "data", "work"):
        parser.add_argument(name, type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--base", type=pathlib.Path, help="the GGUF file (default: DATA/smollm2/*.gguf)")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    base = options.work / "base"
    if not base.exists():  # mergekit reads no GGUF
        file = options.base or next((options.data / "smollm2").glob("*.gguf"))
        request = options.work / "base.json"
        request.write_text(json.dumps({"method": "average", "experts": [str(file)]}))
        subprocess.run([options.assay, "merge", request, "-o", base], check=True, stdout=subprocess.DEVNULL)
    wrong = total = 0
    for label, config in CELLS.items():
        ours = stored(options.store, label)
        if not ours:
            sys.exit(f"{options.store} has no row '{label}'")
        write_tasks(options.data, options.work, {task: len(ours[task, "acc"]) for task in TASKS})
        start = time.monotonic()
        folder = mergekit(config, options.models, base, options.work)
        middle = time.monotonic()
        theirs = lm_eval(folder, options.work)
        seconds = f"merged in {middle - start:.0f} s, scored in {time.monotonic() - middle:.0f} s"
        for key, values in theirs.items():
            differ = sum(a != b for a, b in zip(ours[key], values, strict=True))
            print(f"{label:28} {key[0]:22} {key[1]:9} {sum(ours[key]) / len(values):.4f} {sum(values) / len(values):.4f}, "
                  f"{differ} of {len(values)} items differ; {seconds}", flush=True)
            wrong, total = wrong + differ, total + len(values)
    sys.exit(1 if wrong > 0.005 * total else 0)


if __name__ == "__main__":
    main()
