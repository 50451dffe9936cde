"""Random small configurations of every family of models, as transformers makes them."""

import random

import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIZES = {"vocab_size": 64, "max_position_embeddings": 128}


def rope(rng: random.Random, rotated: int, kinds: list[str]) -> dict:
    kind = rng.choice(kinds)
    base = {"rope_theta": rng.choice([100.0, 10000.0, 500000.0]), "rope_type": kind}
    short = [1.0 + rng.random() for _ in range(rotated // 2)]
    return base | {
        "default": {},
        "linear": {"factor": 2.0},
        "dynamic": {"factor": 4.0},
        "yarn": {"factor": 4.0, "original_max_position_embeddings": 32},
        "llama3": {
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
        "longrope": {"short_factor": short, "long_factor": [2 * x for x in short]},
    }[kind]


def heads(rng: random.Random) -> dict:
    kv_heads = rng.choice([1, 2, 3])
    count = kv_heads * rng.choice([1, 2, 4])
    size = rng.choice([4, 8, 16])
    return {
        "num_attention_heads": count,
        "num_key_value_heads": kv_heads,
        "head_dim": size,
        "hidden_size": count * rng.choice([4, 8]),
        "intermediate_size": rng.choice([24, 48]),
        "num_hidden_layers": rng.choice([1, 2, 3]),
        "tie_word_embeddings": rng.random() < 0.5,
    }


SCALINGS = ["default", "linear", "dynamic", "yarn", "llama3"]


def llama(rng: random.Random) -> dict:
    sizes = heads(rng)
    return sizes | {
        "attention_bias": rng.random() < 0.5,
        "mlp_bias": rng.random() < 0.5,
        "hidden_act": rng.choice(["silu", "gelu", "relu", "gelu_pytorch_tanh"]),
        "rms_norm_eps": rng.choice([1e-5, 1e-6]),
        "max_position_embeddings": rng.choice([48, 128]),
        "rope_parameters": rope(rng, sizes["head_dim"], SCALINGS),
    }


def mistral(rng: random.Random) -> dict:
    sizes = heads(rng)
    return sizes | {
        "sliding_window": rng.choice([None, 4, 16]),
        "rope_parameters": rope(rng, sizes["head_dim"], SCALINGS),
    }


def qwen2(rng: random.Random) -> dict:
    sizes = heads(rng)
    del sizes["head_dim"]
    return sizes | {
        "use_sliding_window": rng.random() < 0.5,
        "sliding_window": rng.choice([4, 16]),
        "max_window_layers": rng.choice([0, 1]),
        "rope_parameters": rope(rng, sizes["hidden_size"] // sizes["num_attention_heads"], SCALINGS),
    }


def qwen3(rng: random.Random) -> dict:
    return qwen2(rng) | {"head_dim": rng.choice([4, 8, 16]), "attention_bias": rng.random() < 0.5}


def mixtral(rng: random.Random) -> dict:
    return mistral(rng) | {"num_local_experts": rng.choice([2, 3, 5]), "num_experts_per_tok": rng.choice([1, 2])}


def sparse(rng: random.Random, sizes: dict) -> dict:
    return sizes | {
        "num_experts": rng.choice([2, 3, 5]),
        "num_experts_per_tok": rng.choice([1, 2]),
        "moe_intermediate_size": rng.choice([12, 24]),
        "norm_topk_prob": rng.random() < 0.5,
        "decoder_sparse_step": rng.choice([1, 2]),
        "mlp_only_layers": rng.choice([[], [0]]),
    }


def qwen2_moe(rng: random.Random) -> dict:
    return sparse(rng, qwen2(rng)) | {"shared_expert_intermediate_size": rng.choice([12, 24]), "qkv_bias": rng.random() < 0.5}


def qwen3_moe(rng: random.Random) -> dict:
    return sparse(rng, qwen3(rng))


def olmoe(rng: random.Random) -> dict:
    sizes = heads(rng)
    del sizes["head_dim"]
    return sizes | {
        "num_experts": rng.choice([2, 3, 5]),
        "num_experts_per_tok": rng.choice([1, 2]),
        "norm_topk_prob": rng.random() < 0.5,
        "attention_bias": rng.random() < 0.5,
        "rope_parameters": rope(rng, sizes["hidden_size"] // sizes["num_attention_heads"], SCALINGS),
    }


def gemma2(rng: random.Random) -> dict:
    sizes = heads(rng)
    return sizes | {
        "sliding_window": rng.choice([4, 16]),
        "query_pre_attn_scalar": rng.choice([4, 16, 100]),
        "attn_logit_softcapping": rng.choice([None, 2.0, 50.0]),
        "final_logit_softcapping": rng.choice([None, 3.0, 30.0]),
        "attention_bias": rng.random() < 0.5,
        "rope_parameters": rope(rng, sizes["head_dim"], ["default"]),
    }


def phi3(rng: random.Random) -> dict:
    sizes = heads(rng)
    del sizes["head_dim"]
    sizes["hidden_size"] = sizes["num_attention_heads"] * 16
    partial = rng.choice([0.5, 0.75, 1.0])
    return sizes | {
        "original_max_position_embeddings": 48,
        "sliding_window": rng.choice([None, 8]),
        "rope_parameters": rope(rng, int(16 * partial), ["default", "longrope"]) | {"partial_rotary_factor": partial},
    }


def gpt2(rng: random.Random) -> dict:
    count = rng.choice([1, 2, 4])
    return {
        "n_positions": 128,
        "n_head": count,
        "n_embd": count * rng.choice([4, 8]),
        "n_layer": rng.choice([1, 2, 3]),
        "n_inner": rng.choice([None, 24]),
        "activation_function": rng.choice(["gelu_new", "gelu", "relu"]),
        "scale_attn_weights": rng.random() < 0.8,
        "scale_attn_by_inverse_layer_idx": rng.random() < 0.5,
        "tie_word_embeddings": rng.random() < 0.5,
    }


def gpt_neox(rng: random.Random) -> dict:
    count = rng.choice([1, 2, 4])
    partial = rng.choice([0.25, 0.5, 1.0])
    return {
        "num_attention_heads": count,
        "hidden_size": count * 16,
        "intermediate_size": rng.choice([24, 48]),
        "num_hidden_layers": rng.choice([1, 2, 3]),
        "use_parallel_residual": rng.random() < 0.5,
        "attention_bias": rng.random() < 0.5,
        "tie_word_embeddings": rng.random() < 0.5,
        "rope_parameters": rope(rng, int(16 * partial), ["default", "linear"]) | {"partial_rotary_factor": partial},
    }


def t5(rng: random.Random) -> dict:
    return {
        "d_model": rng.choice([16, 24]),
        "d_ff": rng.choice([24, 48]),
        "d_kv": rng.choice([4, 8]),
        "num_heads": rng.choice([1, 2, 4]),
        "num_layers": rng.choice([1, 2, 3]),
        "num_decoder_layers": rng.choice([1, 2]),
        "relative_attention_num_buckets": rng.choice([8, 16]),
        "relative_attention_max_distance": rng.choice([16, 32]),
        "feed_forward_proj": rng.choice(["relu", "gated-gelu"]),
        "tie_word_embeddings": rng.random() < 0.5,
        "decoder_start_token_id": 0,
        "max_position_embeddings": None,
    }


def switch_transformers(rng: random.Random) -> dict:
    sizes = t5(rng)
    del sizes["feed_forward_proj"]
    layers = rng.choice([1, 2, 3])
    return sizes | {
        "num_layers": layers,
        "num_sparse_encoder_layers": rng.choice([0, 1, layers]),
        "num_sparse_decoder_layers": rng.choice([0, 1]),
        "num_experts": rng.choice([2, 3, 5]),
        "router_bias": rng.random() < 0.5,
        "dense_act_fn": rng.choice(["relu", "gelu"]),
        "tie_word_embeddings": True,  # else transformers' two stacks have embeddings of their own
        "expert_capacity": 64,  # of fewer, a decoder with a cache drops others than one without
    }


FAMILIES = {
    "llama": (transformers.LlamaConfig, llama),
    "mistral": (transformers.MistralConfig, mistral),
    "qwen2": (transformers.Qwen2Config, qwen2),
    "qwen3": (transformers.Qwen3Config, qwen3),
    "gemma2": (transformers.Gemma2Config, gemma2),
    "phi3": (transformers.Phi3Config, phi3),
    "gpt2": (transformers.GPT2Config, gpt2),
    "gpt_neox": (transformers.GPTNeoXConfig, gpt_neox),
    "mixtral": (transformers.MixtralConfig, mixtral),
    "qwen2_moe": (transformers.Qwen2MoeConfig, qwen2_moe),
    "qwen3_moe": (transformers.Qwen3MoeConfig, qwen3_moe),
    "olmoe": (transformers.OlmoeConfig, olmoe),
    "t5": (transformers.T5Config, t5),
    "mt5": (transformers.MT5Config, t5),
    "switch_transformers": (transformers.SwitchTransformersConfig, switch_transformers),
}


def bert(rng: random.Random) -> dict:
    count = rng.choice([1, 2, 3, 4])
    return {
        "num_attention_heads": count,
        "hidden_size": count * rng.choice([4, 8, 12]),
        "intermediate_size": rng.choice([16, 24, 48]),
        "num_hidden_layers": rng.choice([1, 2, 3]),
        "hidden_act": rng.choice(["gelu", "gelu_new", "relu", "silu", "gelu_pytorch_tanh", "quick_gelu"]),
        "type_vocab_size": rng.choice([1, 2, 3]),
        "max_position_embeddings": rng.choice([32, 50]),
        "layer_norm_eps": rng.choice([1e-12, 1e-5]),
        "pad_token_id": rng.choice([0, 1, 5]),
        "num_labels": rng.choice([1, 2, 5]),
    }


ENCODERS = {
    "bert": (transformers.BertConfig, transformers.BertForSequenceClassification, transformers.BertForMaskedLM),
    "roberta": (transformers.RobertaConfig, transformers.RobertaForSequenceClassification, transformers.RobertaForMaskedLM),
}


def random_encoder(family: str, rng: random.Random, seed: int):
    """With a head for classification, without any (with or without BERT's pooler), or with that of pre-training."""
    kind, classifier, pretrained = ENCODERS[family]
    config = kind(vocab_size=SIZES["vocab_size"], **bert(rng))
    config._attn_implementation = "eager"
    draw = rng.choice(["classes", "classes", "bare", "pooled", "pretrained"])
    if draw == "classes":
        model = classifier(config)
    elif draw == "pretrained":
        model = pretrained(config)
    else:
        model = transformers.AutoModel.from_config(config, add_pooling_layer=draw == "pooled")
    randomize(model, seed)
    return config, model.eval()


def randomize(model, seed: int) -> None:
    """Weights with which the logits differ clearly from token to token."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            table = any(part in name for part in ("embed", "wte", "wpe", "shared", "relative_attention_bias"))
            if weight.dim() > 1:
                weight.normal_(0, 0.3 if table else weight.shape[-1] ** -0.5)
            else:
                weight.add_(torch.randn_like(weight) * 0.2)


def random_model(family: str, rng: random.Random, seed: int, **fixed):
    kind, draw = FAMILIES[family]
    fields = SIZES | {"pad_token_id": None, "bos_token_id": 0, "eos_token_id": 1} | draw(rng) | fixed
    config = kind(**{key: value for key, value in fields.items() if key != "max_position_embeddings" or value})
    config._attn_implementation = "eager"
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model = auto.from_config(config).eval()
    if config.is_encoder_decoder and rng.random() < 0.5:  # version 1.1's head is one of its own
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    randomize(model, seed)
    return config, model
