"""Compares Assay's language models with transformers: random small models of every family.

usage: ENV/bin/python scripts/peers/models.py PROGRAM [--families llama ...] [--cases 6] [--seed 0] [--stored float32] [--computed float32]

Every case is a random configuration with random weights, written as a checkpoint folder that both sides open in float32.
Compared are the logits of prompts of different lengths (the largest difference over the logits' range) and 64 tokens of
greedy generation: with and without a cache, padded left and right. --stored is the dtype of the folder. --computed makes Assay compute in
another than float32: then its logits are held to those of transformers in float32, from which transformers itself differs when it computes
in that dtype; Assay may differ at most twice as far, or by the dtype's epsilon, and tokens are not compared. ENV holds transformers 5 and torch.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from model_cases import FAMILIES, random_model
from safetensors.torch import load_file

TOLERANCE = 1e-4
NEW_TOKENS = 64
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MODES = {
    "left": [],
    "right": ["--padding", "right"],
    "no cache": ["--no-cache"],
    "no cache, right": ["--no-cache", "--padding", "right"],
}


def assay_run(program: str, folder: Path, prompts: list[list[int]], extra: list[str]) -> list[list[int]]:
    command = [program, "--threads", "1", "generate", str(folder), "--json", "--device", "cpu", "--tokens", str(NEW_TOKENS), *extra]
    for ids in prompts:
        command += ["--ids", ",".join(map(str, ids))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return [row["ids"] for row in json.loads(done.stdout)]


def reference_logits(model, ids: list[int]) -> torch.Tensor:
    """Of all tokens of a decoder's text; of the first token that an encoder-decoder writes."""
    inputs = {"input_ids": torch.tensor([ids])}
    if model.config.is_encoder_decoder:
        return model(**inputs, decoder_input_ids=torch.tensor([[0]]), use_cache=False).logits[0, 0]
    return model(**inputs, use_cache=False).logits[0]


def reference_run(model, ids: list[int]) -> list[int]:
    """Greedy tokens from forward passes over the whole text: no cache, no padding."""
    text = [0] if model.config.is_encoder_decoder else list(ids)
    first = len(text)
    for _ in range(NEW_TOKENS):
        inputs = {"input_ids": torch.tensor([text])}
        if model.config.is_encoder_decoder:
            inputs = {"input_ids": torch.tensor([ids]), "decoder_input_ids": inputs["input_ids"]}
        text.append(int(model(**inputs, use_cache=False).logits[0, -1].argmax()))
    return text[first:]


def save_as(model, folder: Path, dtype: str) -> None:
    """Tables of angles, which are no parameters, keep their own."""
    for weight in model.parameters():
        weight.data = weight.data.to(DTYPES[dtype])
    model.save_pretrained(folder)


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).abs().max() / (wanted.max() - wanted.min()))


def compare(options, family: str, rng: random.Random, seed: int) -> tuple[float, float, list[str]]:
    """Largest differences from transformers in float32, of Assay and of transformers computing as Assay does, and ways to
    generate that give other tokens."""
    config, model = random_model(family, rng, seed)
    lengths = [rng.randint(1, 40) for _ in range(3)]
    prompts = [[rng.randrange(config.vocab_size) for _ in range(n)] for n in lengths]
    exact = options.computed == "float32"
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        save_as(model, folder, options.stored)
        logits_file = Path(work) / "logits.safetensors"
        common = ["--dtype", options.computed, "--logits", str(logits_file)]
        modes = MODES if exact else {"left": []}
        generated = {mode: assay_run(options.program, folder, prompts, [*extra, *common]) for mode, extra in modes.items()}
        found = load_file(logits_file)

        def opened(dtype: str):
            return type(model).from_pretrained(folder, dtype=DTYPES[dtype], attn_implementation="eager").eval()

        precise, coarse = opened("float32"), None if exact else opened(options.computed)
    worst, theirs = 0.0, 0.0
    with torch.no_grad():
        for i, ids in enumerate(prompts):
            wanted = reference_logits(precise, ids)
            worst = max(worst, difference(found[f"logits.{i}"], wanted))
            if coarse:
                theirs = max(theirs, difference(reference_logits(coarse, ids).float(), wanted))
        expected = [reference_run(precise, ids) for ids in prompts] if exact else []
    return worst, theirs, [mode for mode, rows in generated.items() if exact and rows != expected]


def within(options, ours: float, theirs: float) -> bool:
    return ours <= (TOLERANCE if options.computed == "float32" else max(2 * theirs, torch.finfo(DTYPES[options.computed]).eps))


def shown(theirs: float) -> str:
    return f"{theirs:.2e}" if theirs else "-"


def options_of(text: str, families: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--families", nargs="*", default=families)
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stored", choices=DTYPES, default="float32")
    parser.add_argument("--computed", choices=DTYPES, default="float32")
    return parser.parse_args()


def compare_families(options, compare, tokens: bool = False) -> None:
    """Prints a row per family; exits with 1 when a case is outside its tolerance. `compare` gives the differences of a case, Assay's and
    transformers' own, and with `tokens` the modes whose greedy tokens differ."""
    torch.set_num_threads(1)
    failed = 0
    print(f"stored in {options.stored}, computed in {options.computed}")
    header = f"{'family':10} {'cases':>5} {'largest difference / range':>27} {'of transformers':>16}"
    print(header + "  greedy tokens that differ" * tokens)
    for family in options.families:
        rng = random.Random(f"{family} {options.seed}")
        results = [compare(options, family, rng, options.seed * 1000 + i) for i in range(options.cases)]
        failed += not all(within(options, ours, theirs) for ours, theirs, *_ in results)
        ours, theirs = (max(result[i] for result in results) for i in range(2))
        row = f"{family:10} {options.cases:5} {ours:27.2e} {shown(theirs):>16}"
        if tokens:
            differing = [f"case {i}: {', '.join(modes)}" for i, (_, _, modes) in enumerate(results) if modes]
            failed += bool(differing)
            row += "  " + ("; ".join(differing) or ("none" if options.computed == "float32" else "not compared"))
        print(row, flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    compare_families(options_of(__doc__, sorted(FAMILIES)), compare, tokens=True)
