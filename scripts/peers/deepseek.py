"""DeepSeek-MoE's first version, of which transformers has no class, compared with Assay's.

usage: ENV/bin/python scripts/peers/deepseek.py PROGRAM      (ENV holds transformers 5 and torch)

The reference is Llama's class with the feed-forward of arXiv:2401.06066 §3, written down here from the paper and the fields of the model's
config.json, a token at a time. Random small models: logits of prompts and greedy tokens."""

import json
import random
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from model_cases import heads, randomize
from models import MODES, TOLERANCE, assay_run, difference, reference_logits, reference_run
from safetensors.torch import load_file, save_file


class DeepseekFeedForward(torch.nn.Module):
    def __init__(self, dense, fields: dict):
        super().__init__()
        width, inner = dense.gate_proj.in_features, fields["moe_intermediate_size"]
        self.per_token = fields["num_experts_per_tok"]
        self.normalized = fields["norm_topk_prob"] and self.per_token > 1
        self.gate = torch.nn.Linear(width, fields["n_routed_experts"], bias=False)
        self.experts = torch.nn.ModuleList(self.expert(width, inner, dense.act_fn) for _ in range(fields["n_routed_experts"]))
        self.shared_experts = None
        if fields["n_shared_experts"]:
            self.shared_experts = self.expert(width, inner * fields["n_shared_experts"], dense.act_fn)

    @staticmethod
    def expert(width: int, inner: int, activation) -> torch.nn.Module:
        config = transformers.LlamaConfig(hidden_size=width, intermediate_size=inner, num_attention_heads=1)
        made = transformers.models.llama.modeling_llama.LlamaMLP(config)
        made.act_fn = activation
        return made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.flatten(0, -2)
        outputs = []
        for row in rows:
            chances = torch.softmax(self.gate(row).float(), -1)
            order = torch.sort(chances, descending=True, stable=True)
            weights = order.values[: self.per_token]
            if self.normalized:
                weights = weights / weights.sum()
            y = sum(weight * self.experts[int(i)](row) for weight, i in zip(weights, order.indices))
            outputs.append(y if self.shared_experts is None else y + self.shared_experts(row))
        return torch.stack(outputs).view(x.shape)


def deepseek_model(config: transformers.LlamaConfig, fields: dict):
    """A Llama whose blocks have experts from `first_k_dense_replace` on, every `moe_layer_freq`."""
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager").eval()
    for i, layer in enumerate(model.model.layers):
        if i >= fields["first_k_dense_replace"] and i % fields["moe_layer_freq"] == 0:
            layer.mlp = DeepseekFeedForward(layer.mlp, fields)
    return model


def deepseek_config(config: transformers.LlamaConfig, fields: dict) -> dict:
    """config.json's content."""
    return config.to_dict() | fields | {"model_type": "deepseek", "architectures": ["DeepseekForCausalLM"], "scoring_func": "softmax"}


def random_case(rng: random.Random, seed: int):
    sizes = heads(rng)
    del sizes["head_dim"]
    sizes["hidden_size"] = sizes["num_attention_heads"] * rng.choice([4, 8])
    config = transformers.LlamaConfig(vocab_size=64, max_position_embeddings=128, attention_bias=rng.random() < 0.5, **sizes)
    experts = rng.choice([2, 3, 5])
    fields = {
        "n_routed_experts": experts,
        "n_shared_experts": rng.choice([None, 1, 2]),
        "num_experts_per_tok": rng.choice([1, 2]),
        "moe_intermediate_size": rng.choice([12, 24]),
        "first_k_dense_replace": rng.choice([0, 1]),
        "moe_layer_freq": rng.choice([1, 2]),
        "norm_topk_prob": rng.random() < 0.5,
    }
    model = deepseek_model(config, fields)
    randomize(model, seed)
    return config, fields, model


def save_model(config, fields: dict, model, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    weights = model.state_dict()
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(deepseek_config(config, fields), indent=2) + "\n")


def main(program: str, cases: int = 8) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    failed = 0
    for seed in range(cases):
        config, fields, model = random_case(rng, seed)
        prompts = [[rng.randrange(config.vocab_size) for _ in range(rng.randint(1, 40))] for _ in range(3)]
        with tempfile.TemporaryDirectory() as work, torch.no_grad():
            folder, logits = Path(work) / "model", Path(work) / "logits.safetensors"
            save_model(config, fields, model, folder)
            expected = [reference_run(model, ids) for ids in prompts]
            wrong = [mode for mode, extra in MODES.items() if assay_run(program, folder, prompts, [*extra, "--logits", str(logits)]) != expected]
            found = load_file(logits)
            worst = max(difference(found[f"logits.{i}"], reference_logits(model, ids)) for i, ids in enumerate(prompts))
        print(f"case {seed}: logits differ by {worst:.1e} of their range; greedy tokens that differ: {', '.join(wrong) or 'none'}")
        failed += worst > TOLERANCE or bool(wrong)
    if failed:
        sys.exit(f"{failed} cases differ")


if __name__ == "__main__":
    main(sys.argv[1])
