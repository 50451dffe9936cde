#!/usr/bin/env python3
"""Merges and evaluations per second of a sweep, Assay's next to those of transformers on the same device.

  gpu_check_transformers.py make FOLDER small|large       writes four models with random weights, texts and a sweep
  gpu_check_transformers.py compare FOLDER DEVICE         FOLDER/report.json has Assay's runs of that sweep

Both merge the same float32 experts by task arithmetic with several scales and score the same texts of equal length. transformers
holds all models on the device, sums in place and runs batches of texts; loading, and Assay's start, do not count. `compare` prints a
line of JSON, and ends with 1 when a perplexity differs by more than TOLERANCE.
"""
import json
import math
import pathlib
import random
import statistics
import string
import sys
import time

SCALES = [0.1 * i for i in range(1, 9)]
EXPERTS = ["expert1", "expert2", "expert3"]
TOLERANCE = 1e-3  # of a perplexity, relative
SIZES = {
    "small": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "large": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12},
}
TEXTS = {"small": 32, "large": 512}
BYTES, BATCH = 255, 64  # of a text, which follows one beginning-of-text token; texts in a batch


def tokenizer():
    """A token for every byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate([*symbols, "<s>"])}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


def make(folder, size):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer()
    config = LlamaConfig(vocab_size=257, max_position_embeddings=BYTES + 1, bos_token_id=words.bos_token_id,
                         eos_token_id=None, tie_word_embeddings=False, torch_dtype="float32", **SIZES[size])
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    for name in ["base", *EXPERTS]:
        if name != "base":
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    draw = random.Random(0)
    texts = ["".join(draw.choices(string.ascii_lowercase + " ", k=BYTES)) for _ in range(TEXTS[size])]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "tasks").mkdir()
    files = {split: str(folder / "texts.jsonl") for split in ["test", "validation"]}
    (folder / "tasks" / "check.json").write_text(json.dumps({
        "summary": "random texts", "kind": "perplexity",
        "tasks": [{"name": "texts", "dataset": {"files": files}, "metrics": ["token_perplexity"]}]}))
    (folder / "sweep.json").write_text(json.dumps({
        "name": "gpu-check-transformers", "base": "base", "tasks": ["check/texts"],
        "expert_sets": [{"name": "set", "experts": EXPERTS}],
        "trained_on": {name: ["check/texts"] for name in EXPERTS},
        "methods": [{"method": "task_arithmetic", "label": f"scale {scale:.1f}", "parameters": {"scale": round(scale, 1)}}
                    for scale in SCALES]}))


def assay_runs(folder):
    """By scale: seconds of merging and scoring, and the perplexity."""
    runs = {}
    for row in json.loads((folder / "report.json").read_text())["rows"]:
        if row["name"].startswith("scale "):
            seconds = sum(row["costs"][phase]["wall_s"] for phase in ["merge", "evaluation"])
            runs[row["name"]] = seconds, row["tasks"]["token_perplexity"][0]["value"]
    return runs


def transformers_runs(folder, device):
    import torch
    from transformers import LlamaForCausalLM

    def load(name):
        return LlamaForCausalLM.from_pretrained(folder / name, torch_dtype=torch.float32).to(device).eval()

    model, words = load("base"), tokenizer()
    base = [parameter.detach().clone() for parameter in model.parameters()]
    experts = [[parameter.detach() for parameter in load(name).parameters()] for name in EXPERTS]
    texts = [json.loads(line)["text"] for line in (folder / "texts.jsonl").read_text().splitlines()]
    ids = torch.tensor([[words.bos_token_id, *words.encode(text, add_special_tokens=False)] for text in texts]).to(device)

    def synchronize():
        if device != "cpu":
            torch.cuda.synchronize()

    def run(scale):
        begin = time.perf_counter()
        with torch.inference_mode():
            for i, parameter in enumerate(model.parameters()):
                parameter.copy_(base[i] + scale * sum(expert[i] - base[i] for expert in experts))
            loss = torch.zeros((), dtype=torch.float64, device=device)
            for batch in ids.split(BATCH):
                logits = model(batch).logits[:, :-1]
                loss += torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").double()
        synchronize()
        seconds = time.perf_counter() - begin
        return seconds, math.exp(loss.item() / (ids.shape[0] * (ids.shape[1] - 1)))

    run(SCALES[0])  # the first is slower: kernels are chosen and memory is taken
    return {f"scale {scale:.1f}": run(round(scale, 1)) for scale in SCALES}


def compare(folder, device):
    ours, theirs = assay_runs(folder), transformers_runs(folder, device)
    if ours.keys() != theirs.keys():
        sys.exit(f"{len(ours)} of Assay's runs are there, expected {len(theirs)}")
    worst = max(abs(ours[name][1] / theirs[name][1] - 1) for name in theirs)
    speeds = [1 / statistics.median(seconds for seconds, _ in runs.values()) for runs in (ours, theirs)]
    print(json.dumps({"name": "sweep beside transformers", "assay_per_s": round(speeds[0], 3), "transformers_per_s": round(speeds[1], 3),
                      "times": round(speeds[0] / speeds[1], 2), "largest_difference": worst}))
    return 0 if worst <= TOLERANCE else 1


if __name__ == "__main__":
    action, where, what = sys.argv[1:]
    sys.exit(make(pathlib.Path(where), what) if action == "make" else compare(pathlib.Path(where), what))
