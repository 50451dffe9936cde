"""Compares Assay's language models with transformers: random small models of every family.

usage: ENV/bin/python scripts/peers/models.py PROGRAM [--families llama ...] [--cases 6] [--seed 0]

Every case is a random configuration with random weights, written as a checkpoint folder that both sides open in float32.
Compared are the logits of prompts of different lengths (the largest difference over the logits' range) and 64 tokens of
greedy generation: with and without a cache, padded left and right. ENV holds transformers 5 and torch.
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


def compare(program: str, family: str, rng: random.Random, seed: int) -> tuple[float, list[str]]:
    config, model = random_model(family, rng, seed)
    lengths = [rng.randint(1, 40) for _ in range(3)]
    prompts = [[rng.randrange(config.vocab_size) for _ in range(n)] for n in lengths]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "model"
        model.save_pretrained(folder)
        logits_file = Path(work) / "logits.safetensors"
        generated = {
            mode: assay_run(program, folder, prompts, [*options, "--logits", str(logits_file)])
            for mode, options in MODES.items()
        }
        found = load_file(logits_file)
    worst = 0.0
    with torch.no_grad():
        for i, ids in enumerate(prompts):
            wanted = reference_logits(model, ids)
            spread = float(wanted.max() - wanted.min())
            worst = max(worst, float((found[f"logits.{i}"] - wanted).abs().max()) / spread)
        expected = [reference_run(model, ids) for ids in prompts]
    return worst, [mode for mode, rows in generated.items() if rows != expected]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--families", nargs="*", default=sorted(FAMILIES))
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    print(f"{'family':10} {'cases':>5} {'largest difference / range':>27}  greedy tokens that differ")
    for family in options.families:
        rng = random.Random(f"{family} {options.seed}")
        results = [compare(options.program, family, rng, options.seed * 1000 + i) for i in range(options.cases)]
        worst = max(result[0] for result in results)
        differing = [f"case {i}: {', '.join(modes)}" for i, (_, modes) in enumerate(results) if modes]
        failed += worst > TOLERANCE or bool(differing)
        print(f"{family:10} {options.cases:5} {worst:27.2e}  {'; '.join(differing) or 'none'}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
