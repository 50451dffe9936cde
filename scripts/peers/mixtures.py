"""Mixtures of experts that Assay makes, opened by transformers.

  ENV/bin/python scripts/peers/mixtures.py PROGRAM      (ENV holds transformers 5 and torch)

Tiny random Llama, Mistral, Qwen 2 and Qwen 3 models are merged by the method `moe`. transformers must find every tensor of the mixture's class in the
folder and no other (of DeepSeek's form: the class of deepseek.py); its logits and greedy tokens must be Assay's, and those of the dense model where
all experts are equal."""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from deepseek import deepseek_model
from model_cases import randomize
from models import assay_run, difference, reference_logits, reference_run
from safetensors.torch import load_file

TOLERANCE = 1e-4
SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
BASES = {
    "llama": transformers.LlamaConfig(**SIZES, tie_word_embeddings=False, rope_parameters=LLAMA3),
    "llama, tied": transformers.LlamaConfig(**SIZES, tie_word_embeddings=True),
    "mistral": transformers.MistralConfig(**SIZES, sliding_window=8, rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
    "qwen2": transformers.Qwen2Config(**SIZES, tie_word_embeddings=False),
    "qwen3": transformers.Qwen3Config(**SIZES, tie_word_embeddings=True, head_dim=16),
}
CASES = {
    "average, 2 of 3": {},
    "btx, 2 of 4": {"base_expert": True},
    "base's rest, 1 of 3": {"rest": "base", "top_k": 1},
    "ties, 3 of 3": {"shared": "ties", "top_k": 3, "router": {"router": "uniform_random"}},
}
LAST = {"shared_expert": "last"}
SHARED_CASES = {
    "llama": {
        "deepseek, 2 of 3": {"form": "deepseek"},
        "deepseek, shared, 1 of 2": {**LAST, "top_k": 1},
        "qwen2_moe, 2 of 2": {"form": "qwen2_moe", **LAST},
        "qwen2_moe, the base shared, gate 0": {"form": "qwen2_moe", "shared_expert": "base", "shared_gate": "zero"},
    },
    "qwen2": {"2 of 2": LAST, "the base's rest, 1 of 3": {"shared_expert": "base", "rest": "base", "top_k": 1}},
}
PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9], [2, 7], [11]]


def write_models(config, folder: pathlib.Path) -> None:
    torch.manual_seed(0)
    for seed, name in enumerate(["base", "a", "b", "c"]):
        model = transformers.AutoModelForCausalLM.from_config(config)
        randomize(model, seed)
        model.save_pretrained(folder / name)


def open_deepseek(folder: pathlib.Path):
    fields = json.loads((folder / "config.json").read_text())
    config = transformers.LlamaConfig(**{key: value for key, value in fields.items() if key not in ("model_type", "architectures", "auto_map")})
    model = deepseek_model(config, fields)
    weights = load_file(folder / "model.safetensors")
    if config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights, strict=True)
    return model


def open_strictly(folder: pathlib.Path):
    wanted = json.loads((folder / "config.json").read_text())["architectures"][0]
    if wanted == "DeepseekForCausalLM":
        return open_deepseek(folder)
    model, found = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32
    )
    wrong = {kind: names for kind, names in found.items() if names}
    if wrong or type(model).__name__ != wanted:
        sys.exit(f"{folder}: {type(model).__name__}, {wrong}")
    return model.eval()


def compare(program: str, work: pathlib.Path, experts: list[str], parameters: dict) -> tuple[float, torch.nn.Module]:
    """The largest difference of logits over their range."""
    request = {"method": "moe", "parameters": parameters, "base": "base", "experts": experts}
    (work / "merge.json").write_text(json.dumps(request))
    folder = work / "mixture"
    subprocess.run([program, "--quiet", "merge", work / "merge.json", "-o", folder, "--replace"], check=True)
    model = open_strictly(folder)
    logits = work / "logits.safetensors"
    tokens = assay_run(program, folder, PROMPTS, ["--logits", str(logits)])
    found = load_file(logits)
    with torch.no_grad():
        worst = max(difference(found[f"logits.{i}"], reference_logits(model, ids)) for i, ids in enumerate(PROMPTS))
        if tokens != [reference_run(model, ids) for ids in PROMPTS]:
            sys.exit(f"{parameters}: other tokens than transformers'")
    return worst, model


def main(program: str) -> None:
    bad = 0
    for name, config in BASES.items():
        with tempfile.TemporaryDirectory() as folder:
            work = pathlib.Path(folder)
            write_models(config, work)
            cases = SHARED_CASES.get(name, {}) if name == "qwen2" else CASES | SHARED_CASES.get(name, {})
            for case, parameters in cases.items():
                worst, _ = compare(program, work, ["a", "b", "c"], parameters)
                bad += worst > TOLERANCE
                print(f"{name}, {case}: logits differ by {worst:.1e} of their range")
            for top_k in (1, 3) if name != "qwen2" else ():
                worst, mixture = compare(program, work, ["a", "a", "a"], {"top_k": top_k})
                dense = transformers.AutoModelForCausalLM.from_pretrained(work / "a", attn_implementation="eager").eval()
                with torch.no_grad():
                    equal = max(difference(reference_logits(mixture, ids), reference_logits(dense, ids)) for ids in PROMPTS)
                bad += max(worst, equal) > TOLERANCE
                print(f"{name}, equal experts, {top_k} of 3: {worst:.1e}; from the dense model {equal:.1e}")
    if bad:
        sys.exit(f"{bad} mixtures differ by more than {TOLERANCE} of the logits' range")


if __name__ == "__main__":
    main(sys.argv[1])
