"""mergekit-moe's configurations: the folders that Assay writes, against mergekit's.

usage: ENV/bin/python scripts/peers/mergekit_moe.py PROGRAM            (ENV holds mergekit 0.1.5, transformers 5, torch and tokenizers)
       ENV/bin/python scripts/peers/mergekit_moe.py --goldens          writes tests/golden/mergekit_moe

Tiny random models with a tokenizer of words are made a mixture by both. Names, shapes and values must be equal: gates of prompts within 1e-5, all
else to the bit; of random gates, shapes and moments. mergekit writes the experts of two forms as transformers 5 holds them in memory; their parts
are compared. mergekit computes hidden states in bfloat16; here it is made to use float32, and how far its own bfloat16 lies is printed. Its mean
over an example counts padding, Assay's does not: the prompts of an expert have as many tokens as each other where that matters."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
import yaml
from mergekit.merge import MergeOptions
from mergekit.moe import router
from mergekit.moe.config import MoEMergeConfig
from mergekit.scripts.moe import build
from model_cases import randomize
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

OUT = Path(__file__).resolve().parents[2] / "tests/golden/mergekit_moe"
WORDS = "how much is two plus three write a function that sorts tell me story about the sea hello there what prove this".split()
SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
KINDS = {
    "llama": transformers.LlamaConfig(**SIZES),
    "mistral": transformers.MistralConfig(**SIZES, sliding_window=None),
    "qwen2": transformers.Qwen2Config(**SIZES),
    "qwen3": transformers.Qwen3Config(**SIZES, head_dim=4),
}
EXPERTS = [
    {"source_model": "a", "positive_prompts": ["how much is two plus three", "prove this"], "negative_prompts": ["hello there"]},
    {"source_model": "b", "positive_prompts": ["write a function that sorts"], "residual_scale": 0.5},
    {"source_model": "c", "positive_prompts": ["tell me a story about the sea", "what is the sea"]},
]
EVEN = [{**expert, "positive_prompts": expert["positive_prompts"][:1]} for expert in EXPERTS]
SHARED = {"source_model": "base", "positive_prompts": ["what is this", "hello there me"]}
CASES = {  # the kind of models, and what its configuration adds
    "cheap_embed": ("llama", {"gate_mode": "cheap_embed", "experts": EXPERTS}),
    "hidden": ("llama", {"gate_mode": "hidden", "experts": EXPERTS}),
    "hidden_last, bfloat16": ("llama", {"gate_mode": "hidden_last", "experts": EXPERTS, "dtype": "bfloat16"}),
    "hidden_avg": ("llama", {"gate_mode": "hidden_avg", "experts": EVEN, "experts_per_token": 1}),
    "mistral": ("mistral", {"gate_mode": "hidden", "experts": EXPERTS}),
    "deepseek": ("llama", {"experts": EXPERTS, "architecture": "deepseek"}),
    "deepseek, shared": ("llama", {"experts": EXPERTS, "shared_experts": [{"source_model": "base"}]}),
    "qwen, of Llamas": ("llama", {"experts": EXPERTS, "shared_experts": [SHARED]}),
    # transformers opens Qwen 2's tokenizer with a class of its own, which one of words is not made for.
    "qwen": ("qwen2", {"gate_mode": "random", "experts": EXPERTS, "shared_experts": [SHARED]}),
    "qwen3": ("qwen3", {"gate_mode": "hidden", "experts": EXPERTS}),
    "random": ("llama", {"gate_mode": "random", "experts": EXPERTS}),
    "uniform_random": ("llama", {"gate_mode": "uniform_random", "experts": EXPERTS}),
}
TOLERANCE = 1e-5


def write_models(config, folder: Path) -> None:
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    for seed, name in enumerate(["base", "a", "b", "c"]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        randomize(model, seed)
        model.save_pretrained(folder / name)
        (folder / name / "generation_config.json").unlink(missing_ok=True)
        fast.save_pretrained(folder / name)


def by_mergekit(config: dict, folder: Path, precise: bool = True) -> dict[str, torch.Tensor]:
    original = router.AutoModelForCausalLM

    class Opened:
        @staticmethod
        def from_pretrained(path, **options):
            options["torch_dtype"] = torch.float32 if precise else torch.bfloat16
            return original.from_pretrained(path, **options)

    router.AutoModelForCausalLM = Opened
    torch.manual_seed(0)
    build(MoEMergeConfig.model_validate(config), str(folder), MergeOptions(device="cpu"), device="cpu")
    router.AutoModelForCausalLM = original
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def separate(tensors: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """Under the names of published checkpoints."""
    mixtral = kind == "mixtral"
    gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    found = {}
    for name, tensor in tensors.items():
        layer = name.replace(".mlp.", ".block_sparse_moe.") if mixtral else name
        if name.endswith("experts.gate_up_proj"):
            for i, both in enumerate(tensor):
                for part, values in zip((gate, up), both.chunk(2)):
                    found[layer.replace("gate_up_proj", f"{i}.{part}.weight")] = values
        elif name.endswith("experts.down_proj"):
            for i, values in enumerate(tensor):
                found[layer.replace("down_proj", f"{i}.{down}.weight")] = values
        else:
            found[layer] = tensor
    return found


def is_gate(name: str) -> bool:
    return name.endswith((".gate.weight", ".shared_expert_gate.weight"))


def differences(mode: str, ours: dict, theirs: dict) -> tuple[list[str], float]:
    """What is wrong, and the largest difference of a gate."""
    wrong = [f"{name}: only one has it" for name in ours.keys() ^ theirs.keys()]
    worst = 0.0
    for name in ours.keys() & theirs.keys():
        a, b = ours[name], theirs[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            wrong.append(f"{name}: {tuple(a.shape)} {a.dtype}, mergekit {tuple(b.shape)} {b.dtype}")
        elif not is_gate(name):
            if not torch.equal(a, b):
                wrong.append(f"{name}: values differ by {(a.float() - b.float()).abs().max():.1e}")
        elif "random" not in mode:
            worst = max(worst, float((a.float() - b.float()).abs().max()))
    return wrong, worst


def moments(tensors: dict) -> str:
    values = torch.cat([tensor.float().flatten() for name, tensor in tensors.items() if is_gate(name)])
    return f"mean {values.mean():+.2f}, deviation {values.std():.3f}, largest {values.abs().max():.3f}"


def config_differences(ours: dict, theirs: dict) -> list[str]:
    """In what a mixture computes with."""
    keys = ["architectures", "num_local_experts", "num_experts", "n_routed_experts", "n_shared_experts", "num_experts_per_tok", "norm_topk_prob",
            "moe_intermediate_size", "shared_expert_intermediate_size", "decoder_sparse_step", "first_k_dense_replace", "moe_layer_freq",
            "scoring_func", "sliding_window", "head_dim", "hidden_size", "num_key_value_heads", "vocab_size", "auto_map"]  # fmt: skip
    # transformers 5 writes one of the two names of the number of experts.
    count = ("num_local_experts", "num_experts")
    pick = lambda config, key: next((config[k] for k in count if k in config), None) if key in count else config.get(key)  # noqa: E731
    return [f"{key}: {pick(ours, key)}, mergekit {pick(theirs, key)}" for key in keys if pick(ours, key) != pick(theirs, key)]


def written_config(added: dict, work: Path) -> dict:
    config = {"base_model": "base", **added}
    absolute = json.loads(json.dumps(config))
    absolute["base_model"] = str(work / "base")
    for expert in [*absolute["experts"], *absolute.get("shared_experts", [])]:
        expert["source_model"] = str(work / expert["source_model"])
    (work / "moe.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return absolute


def compare(program: str, name: str, kind: str, added: dict, work: Path) -> bool:
    absolute = written_config(added, work)
    theirs = by_mergekit(absolute, work / "theirs" / name)
    coarse = by_mergekit(absolute, work / "coarse" / name, precise=False)
    out = work / "ours" / name
    subprocess.run([program, "--quiet", "merge", work / "moe.yaml", "-o", out], check=True)
    ours = {key: tensor for file in out.glob("*.safetensors") for key, tensor in load_file(file).items()}
    made = json.loads((out / "config.json").read_text())
    mode = added.get("gate_mode", "hidden")
    wrong, worst = differences(mode, ours, separate(theirs, made["model_type"]))
    wrong += config_differences(made, json.loads((work / "theirs" / name / "config.json").read_text()))
    own = differences(mode, separate(theirs, made["model_type"]), separate(coarse, made["model_type"]))[1]
    tolerance = 2**-8 if added.get("dtype") == "bfloat16" else TOLERANCE
    print(f"{kind}, {name}: {made['model_type']}, {len(ours)} tensors; gates differ by {worst:.1e}, mergekit's own in bfloat16 by {own:.1e}")
    if "random" in mode:
        print(f"  {moments(ours)}; mergekit {moments(theirs)}")
    for line in wrong:
        print(f"  {line}")
    return not wrong and worst <= tolerance


def write_goldens() -> None:
    """Models, configurations, and mergekit's gates by case."""
    write_models(KINDS["llama"], OUT)
    for name in ("cheap_embed", "hidden", "hidden_avg"):
        with tempfile.TemporaryDirectory() as folder:
            added = CASES[name][1]
            absolute = written_config(added, OUT)
            tensors = separate(by_mergekit(absolute, Path(folder)), "mixtral")
            (OUT / "moe.yaml").rename(OUT / f"{name}.yaml")
            gates = {key: tensor.contiguous() for key, tensor in tensors.items() if is_gate(key)}
            save_file(gates, OUT / f"{name}.safetensors")


def main(program: str) -> None:
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind, config in KINDS.items():
            write_models(config, Path(folder) / kind)
        for name, (kind, added) in CASES.items():
            failed += not compare(program, name, kind, added, Path(folder) / kind)
    if failed:
        sys.exit(f"{failed} mixtures differ from mergekit's")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    if sys.argv[1] == "--goldens":
        write_goldens()
    else:
        main(str(Path(sys.argv[1]).resolve()))
