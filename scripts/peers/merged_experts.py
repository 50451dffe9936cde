"""Mixtures whose experts Assay merged, opened by transformers.

  ENV/bin/python scripts/peers/merged_experts.py PROGRAM      (ENV holds transformers 5 and torch)

Tiny random mixtures of four families lose half of their experts. transformers must find every tensor of the family in the folder and no other, and
its logits and greedy tokens must be Assay's, of the form with copies and of the compact one. Merged experts must be the means of scipy's
average linkage on their weights."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from mixtures import PROMPTS, SIZES, TOLERANCE
from model_cases import randomize
from models import assay_run, difference, reference_logits, reference_run
from safetensors.torch import load_file
from scipy.cluster.hierarchy import fcluster, linkage

EXPERTS, LEFT = 6, 3
MIXTURES = {
    "mixtral": transformers.MixtralConfig(**SIZES, num_local_experts=EXPERTS, num_experts_per_tok=2),
    "olmoe": transformers.OlmoeConfig(**SIZES, num_experts=EXPERTS, num_experts_per_tok=2),
    "qwen2_moe": transformers.Qwen2MoeConfig(
        **SIZES, num_experts=EXPERTS, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=40
    ),
    "qwen3_moe": transformers.Qwen3MoeConfig(**SIZES, num_experts=EXPERTS, num_experts_per_tok=2, moe_intermediate_size=24, head_dim=8),
}
PARAMETERS = {
    "experts": LEFT,
    "allocation": "uniform",
    "grouping": "linkage",
    "similarity": "expert_weight",
    "measure": "distance",
    "alignment": "none",
    "merge": "uniform",
}


def merge(program: str, work: pathlib.Path, parameters: dict) -> pathlib.Path:
    (work / "merge.json").write_text(json.dumps({"method": "merge_experts", "parameters": parameters, "experts": ["whole"]}))
    folder = work / "merged"
    subprocess.run([program, "--quiet", "merge", work / "merge.json", "-o", folder, "--replace"], check=True)
    return folder


def experts_of(folder: pathlib.Path) -> dict:
    """Of each layer's prefix, the tensors of each expert by part."""
    layers: dict = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(path).items():
            prefix, found, rest = name.partition(".experts.")
            if found and rest.split(".")[0].isdigit():
                number, part = rest.split(".", 1)
                layers.setdefault(prefix, {}).setdefault(int(number), {})[part] = tensor.double()
    return layers


def wrong_means(whole: pathlib.Path, merged: pathlib.Path) -> int:
    """How many merged experts are not what scipy's groups say."""
    wrong = 0
    after = experts_of(merged)
    for layer, experts in experts_of(whole).items():
        flat = np.stack([torch.cat([experts[i][p].flatten() for p in sorted(experts[i])]).numpy() for i in range(EXPERTS)])
        groups = fcluster(linkage(flat, "average"), LEFT, "maxclust")
        for i in range(EXPERTS):
            members = [j for j in range(EXPERTS) if groups[j] == groups[i]]
            for part in experts[i]:
                mean = sum(experts[j][part] for j in members) / len(members)
                wrong += not torch.allclose(after[layer][i][part], mean, atol=1e-6)
    return wrong


def worst_logits(program: str, folder: pathlib.Path, model, work: pathlib.Path) -> float:
    logits = work / "logits.safetensors"
    tokens = assay_run(program, folder, PROMPTS, ["--logits", str(logits)])
    found = load_file(logits)
    with torch.no_grad():
        if tokens != [reference_run(model, ids) for ids in PROMPTS]:
            sys.exit(f"{folder}: other tokens than transformers'")
        return max(difference(found[f"logits.{i}"], reference_logits(model, ids)) for i, ids in enumerate(PROMPTS))


def main(program: str) -> None:
    bad = 0
    for name, config in MIXTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            torch.manual_seed(0)
            whole = transformers.AutoModelForCausalLM.from_config(config)
            randomize(whole, 1)
            whole.save_pretrained(work / "whole")
            merged = merge(program, work, PARAMETERS)
            model, found = transformers.AutoModelForCausalLM.from_pretrained(
                merged, output_loading_info=True, attn_implementation="eager", dtype=torch.float32
            )
            if wrong := {kind: names for kind, names in found.items() if names}:
                sys.exit(f"{name}: {wrong}")
            wrong = wrong_means(work / "whole", merged)
            worst = worst_logits(program, merged, model.eval(), work)
            compact = worst_logits(program, merge(program, work, PARAMETERS | {"store": "compact"}), model, work)
            print(f"{name}: {wrong} wrong experts; logits differ by {worst:.1e} of their range, in the compact form by {compact:.1e}")
            bad += wrong > 0 or max(worst, compact) > TOLERANCE
    if bad:
        sys.exit(f"{bad} of {len(MIXTURES)} families differ")


if __name__ == "__main__":
    main(sys.argv[1])
