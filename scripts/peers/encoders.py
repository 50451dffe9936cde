"""Compares Assay's encoders with transformers: random small BERTs and RoBERTas, bare and with heads for classification.

usage: ENV/bin/python scripts/peers/encoders.py PROGRAM [--families bert ...] [--cases 6] [--seed 0] [--stored float32] [--computed float32]

Every case is a random configuration with random weights, written as a checkpoint folder that both sides open. Texts of different lengths,
the longest that the model takes among them, go through both as one batch padded at the right, and through Assay also padded at the left,
compared with what transformers gives each text alone. Compared are the means of the last states and the scores of the classes: the largest
difference over the range of all texts' outputs. --stored and --computed: as in models.py. ENV holds transformers 5 and torch.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from model_cases import ENCODERS, random_encoder
from models import DTYPES, compare_families, difference, options_of, save_as

PADDINGS = ["right", "left"]


def assay_run(program: str, folder: Path, texts: list, types: list, padding: str, dtype: str) -> dict[str, torch.Tensor]:
    command = [program, "--threads", "1", "encode", str(folder), "--device", "cpu", "--padding", padding, "--dtype", dtype]
    for ids, kinds in zip(texts, types):
        command += ["--ids", ",".join(map(str, ids)), "--types", ",".join(map(str, kinds))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {key: torch.tensor([row[key] for row in rows]) for key in rows[0]}


def reference(model, texts: list, types: list) -> dict[str, torch.Tensor]:
    """Of one batch, padded at the right."""
    longest = max(map(len, texts))
    padded = [ids + [model.config.pad_token_id] * (longest - len(ids)) for ids in texts]
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in texts])
    batch = {
        "input_ids": torch.tensor(padded),
        "attention_mask": mask,
        "token_type_ids": torch.tensor([kinds + [0] * (longest - len(kinds)) for kinds in types]),
    }
    states = model.base_model(**batch).last_hidden_state.float()
    share = mask.unsqueeze(-1).float()
    outputs = {"embedding": (states * share).sum(1) / share.sum(1)}
    if "ForSequenceClassification" in type(model).__name__:
        outputs["classes"] = model(**batch).logits.float()
    return outputs


def alone(model, texts: list, types: list) -> dict[str, torch.Tensor]:
    rows = [reference(model, [ids], [kinds]) for ids, kinds in zip(texts, types)]
    return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}


def random_texts(config, rng: random.Random) -> tuple[list, list]:
    most = config.max_position_embeddings
    if config.model_type == "roberta":
        most -= config.pad_token_id + 1
    lengths = [most, 1, *(rng.randint(2, most) for _ in range(3))]
    texts = [[rng.randrange(config.vocab_size) for _ in range(n)] for n in lengths]
    types = [sorted(rng.randrange(config.type_vocab_size) for _ in range(n)) for n in lengths]
    return texts, types


def compare(options, family: str, rng: random.Random, seed: int) -> tuple[float, float]:
    """As in models.py."""
    config, model = random_encoder(family, rng, seed)
    texts, types = random_texts(config, rng)
    worst, theirs = 0.0, 0.0
    with tempfile.TemporaryDirectory() as work, torch.no_grad():
        folder = Path(work) / "model"
        save_as(model, folder, options.stored)

        def opened(dtype: str):
            return type(model).from_pretrained(folder, dtype=DTYPES[dtype], attn_implementation="eager").eval()

        exact = opened("float32")
        wanted = {"right": reference(exact, texts, types), "left": alone(exact, texts, types)}
        if options.computed != "float32":
            found = reference(opened(options.computed), texts, types)
            theirs = max(difference(found[key], value) for key, value in wanted["right"].items())
        for padding in PADDINGS:
            found = assay_run(options.program, folder, texts, types, padding, options.computed)
            if found.keys() != wanted[padding].keys():
                sys.exit(f"{family} {seed}: Assay gives {list(found)}, transformers {list(wanted[padding])}")
            worst = max([worst, *(difference(found[key], value) for key, value in wanted[padding].items())])
    return worst, theirs


if __name__ == "__main__":
    compare_families(options_of(__doc__, list(ENCODERS)), compare)
