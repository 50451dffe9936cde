"""Writes tests/golden/routed: a small routed ensemble, and what MergeME makes of a prompt with it.

The models are transformers' Llama in float64; the routing and the mixture of layers are written out below from the paper
(arXiv:2502.00997), with the modules of each model.
usage: ENV/bin/python scripts/peers/routed_goldens.py      (ENV holds transformers 5, safetensors and torch)
"""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

MEMBERS = 3
TOP_K = 2
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
CONFIG = {
    "model_type": "llama", "vocab_size": 16, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "max_position_embeddings": 64,
}


def model(seed: int, base: dict | None = None) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    made = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in CONFIG.items() if k != "model_type"})).double().eval()
    with torch.no_grad():
        for name, weight in made.named_parameters():
            start = torch.ones_like(weight) if base is None and weight.dim() == 1 else 0
            noise = torch.randn_like(weight) * (0.5 if base is None else 0.2)
            # What the file holds: float32.
            weight.copy_((noise + start if base is None else base[name] + noise).float().double())
    return made


def softmax_of_best(scores: list[float]) -> list[float]:
    values, places = torch.tensor(scores, dtype=torch.float64).topk(TOP_K)
    shares = torch.zeros(len(scores), dtype=torch.float64)
    shares[places] = torch.softmax(values, 0)
    return shares.tolist()


def mean_loss(of: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    logits = of(input_ids=ids).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, ids[0, 1:])


def mixed_logits(models: list[LlamaForCausalLM], shares: list[float], ids: torch.Tensor) -> torch.Tensor:
    """Layers on one residual stream. The models have one embedding, one head and the same norms."""
    first = models[0].model
    x = first.embed_tokens(ids)
    positions = torch.arange(ids.shape[1])[None]
    rotary = LlamaRotaryEmbedding(models[0].config).double()(x, positions)
    causal = torch.full((ids.shape[1], ids.shape[1]), float("-inf"), dtype=torch.float64).triu(1)[None, None]
    for index in range(CONFIG["num_hidden_layers"]):
        layers = [one.model.layers[index] for one in models]
        x = x + sum(
            share * layer.self_attn(layer.input_layernorm(x), position_embeddings=rotary, attention_mask=causal)[0]
            for share, layer in zip(shares, layers)
        )
        x = x + sum(share * layer.mlp(layer.post_attention_layernorm(x)) for share, layer in zip(shares, layers))
    return models[0].lm_head(first.norm(x))


def main() -> None:
    ids = torch.tensor([PROMPT])
    base = model(0)
    start = dict(base.named_parameters())
    members = [model(seed, start) for seed in range(1, MEMBERS + 1)]
    with torch.no_grad():
        by_perplexity = softmax_of_best([float(torch.exp(-mean_loss(one, ids))) for one in members])

    mean_loss(base, ids).backward()
    gradient = torch.cat([weight.grad.flatten() for weight in base.parameters()])
    cosines = []
    for one in members:
        delta = torch.cat([w.detach().flatten() - start[name].detach().flatten() for name, w in one.named_parameters()])
        cosines.append(float(torch.nn.functional.cosine_similarity(-gradient, delta, dim=0)))

    state = [{name: w.detach().clone() for name, w in one.named_parameters()} for one in members]
    shared = [name for name in state[0] if "self_attn" not in name and "mlp" not in name]
    means = {name: torch.stack([s[name] for s in state]).mean(0).float().double() for name in shared}
    with torch.no_grad():
        for one in members:
            for name, weight in one.named_parameters():
                if name in means:
                    weight.copy_(means[name])
        logits = mixed_logits(members, by_perplexity, ids)[0]

    tensors = {f"members.{i}.{name}": w for i, s in enumerate(state) for name, w in s.items()}
    tensors |= {f"router.base.{name}": w.detach() for name, w in start.items()} | means
    folder = pathlib.Path(__file__).parents[2] / "tests" / "golden" / "routed"
    folder.mkdir(exist_ok=True)
    save_file({name: w.float().contiguous() for name, w in tensors.items()}, folder / "model.safetensors")
    config = {
        "model_type": "assay_routed", "members": MEMBERS, "router": "task_vector_gradient", "top_k": TOP_K,
        "mix": "layers", "shared": sorted(shared), "member": CONFIG | {"tie_word_embeddings": False},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    expected = {
        "prompt": PROMPT, "perplexity": by_perplexity, "gradient": softmax_of_best(cosines),
        "gradient_ascent": softmax_of_best([-c for c in cosines]), "logits": logits.tolist(),
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
