"""Writes tests/golden/models: tiny random models of every family, with transformers' results.

usage: ENV/bin/python scripts/peers/model_goldens.py [OUT]      (ENV holds transformers 5, peft and torch)

Three of them also have LoRA adapters, in FAMILY-lora, with the results of the adapted model. Every folder contains config.json,
model.safetensors and expected.json: prompts, the logits after each prompt's last token and the tokens of greedy generation,
computed in float32 without a cache.
"""

import json
import random
import sys
from pathlib import Path

import torch
import transformers
from deepseek import deepseek_model, save_model
from model_cases import random_model, randomize
from peft import LoraConfig, get_peft_model

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/models")
NEW_TOKENS = 12
SMALL = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
}
NO_HEAD_DIM = {key: value for key, value in SMALL.items() if key != "head_dim"}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
    "short_factor": [1.0],
    "long_factor": [4.0],
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
SPARSE = {  # a dense block, then one of experts
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [0],
    "tie_word_embeddings": False,
}
CASES = {
    "llama": SMALL | {"rope_parameters": LLAMA3, "attention_bias": True, "mlp_bias": False, "tie_word_embeddings": True},
    "mistral": SMALL | {"sliding_window": 4, "tie_word_embeddings": False},
    "qwen2": NO_HEAD_DIM | {"rope_parameters": YARN, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3": SMALL | {"attention_bias": False, "tie_word_embeddings": False, "use_sliding_window": False},
    "gemma2": SMALL | {"sliding_window": 4, "query_pre_attn_scalar": 9, "attn_logit_softcapping": 2.0},
    "phi3": NO_HEAD_DIM | {"rope_parameters": LONGROPE, "original_max_position_embeddings": 8, "sliding_window": None},
    "gpt2": {
        "vocab_size": 32,
        "n_positions": 32,
        "n_head": 2,
        "n_embd": 16,
        "n_layer": 2,
        "n_inner": None,
        "scale_attn_by_inverse_layer_idx": True,
        "tie_word_embeddings": True,
    },
    "gpt_neox": {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "use_parallel_residual": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    },
    "mixtral": SMALL | {"sliding_window": 4, "tie_word_embeddings": False, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": NO_HEAD_DIM
    | SPARSE
    | {"shared_expert_intermediate_size": 12, "norm_topk_prob": False, "qkv_bias": True, "use_sliding_window": False},
    "qwen3_moe": SMALL | SPARSE | {"norm_topk_prob": True, "attention_bias": False, "use_sliding_window": False},
    "olmoe": NO_HEAD_DIM | {"num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": False, "tie_word_embeddings": False},
}
ADAPTERS = {
    "llama": {"target_modules": ["q_proj", "down_proj"], "lora_alpha": 6, "use_rslora": True, "rank_pattern": {"q_proj": 3}},
    "gpt2": {"target_modules": ["c_attn", "c_proj"], "lora_alpha": 5, "alpha_pattern": {"mlp.c_proj": 1}},
}
T5 = {
    "vocab_size": 32,
    "d_model": 16,
    "d_ff": 16,
    "d_kv": 4,
    "num_heads": 2,
    "num_layers": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}
SWITCH = T5 | {
    "num_experts": 3,
    "num_sparse_encoder_layers": 1,
    "num_decoder_layers": 2,
    "num_sparse_decoder_layers": 1,
}
DEEPSEEK = {  # a dense block, then one of experts
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "norm_topk_prob": True,
}
BERT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "num_labels": 3,
}
PROMPTS = [[3, 1, 4, 1, 5, 9], [2, 7], [11]]


def continued(model, ids: list[int]) -> list[int]:
    text = list(ids)
    for _ in range(NEW_TOKENS):
        text.append(int(model(torch.tensor([text]), use_cache=False).logits[0, -1].argmax()))
    return text[len(ids) :]


def rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in values.tolist()]


def write_expected(model, folder: Path) -> None:
    with torch.no_grad():
        expected = {
            "prompts": PROMPTS,
            "last_logits": [rounded(model(torch.tensor([ids])).logits[0, -1]) for ids in PROMPTS],
            "greedy": [continued(model, ids) for ids in PROMPTS],
        }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def write_adapted(model, family: str, options: dict) -> None:
    adapted = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM", **options)).eval()
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(0, 0.3)
    folder = OUT / f"{family}-lora"
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink()
    write_expected(adapted, folder)


def written(model, ids: list[int]) -> list[int]:
    text = [0]
    for _ in range(NEW_TOKENS):
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([text]), use_cache=False).logits
        text.append(int(logits[0, -1].argmax()))
    return text[1:]


def write_t5(name: str, config, own_head: bool, seed: int) -> None:
    config._attn_implementation = "eager"
    model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    if own_head:
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    randomize(model, seed)
    texts = [[7, 3, 9, 1, 30, 22, 8, 5, 4, 3, 2, 1, 11, 12, 13, 14], [5, 6]]
    with torch.no_grad():
        start = torch.tensor([[0, 4, 5]])
        expected = {
            "prompts": texts,
            "decoder_ids": start[0].tolist(),
            "last_logits": [
                rounded(model(input_ids=torch.tensor([ids]), decoder_input_ids=start).logits[0, -1]) for ids in texts
            ],
            "greedy": [written(model, ids) for ids in texts],
        }
    save(model, name, expected)


def write_deepseek(seed: int) -> None:
    config = transformers.LlamaConfig(**SMALL, tie_word_embeddings=False)
    model = deepseek_model(config, DEEPSEEK)
    randomize(model, seed)
    folder = OUT / "deepseek"
    save_model(config, DEEPSEEK, model, folder)
    write_expected(model, folder)


def write_encoder(name: str, model, seed: int) -> None:
    randomize(model, seed)
    texts = [[2, 7, 9, 4, 3, 11], [2, 5, 3]]
    batch = {
        "input_ids": torch.tensor([texts[0], texts[1] + [model.config.pad_token_id] * 3]),
        "attention_mask": torch.tensor([[1] * 6, [1] * 3 + [0] * 3]),
    }
    with torch.no_grad():
        states = model.base_model(**batch).last_hidden_state
        share = batch["attention_mask"].unsqueeze(-1).float()
        means = (states * share).sum(1) / share.sum(1)
        expected = {"prompts": texts, "embeddings": [rounded(row) for row in means]}
        if hasattr(model, "classifier"):
            expected["classes"] = [rounded(row) for row in model(**batch).logits]
            types = torch.tensor([[0, 0, 0, 1, 1, 1]])  # the first text as two
            pair = model(input_ids=torch.tensor([texts[0]]), token_type_ids=types)
            expected["pair_classes"] = rounded(pair.logits[0])
    save(model, name, expected)
    if name == "bert":
        write_adapted_encoder(model, name, batch)


def write_masked(name: str, model, seed: int) -> None:
    """The tokens' scores, and the log-likelihood of each token but the first and last when the mask, token 4, stands in its place."""
    randomize(model, seed)
    texts = [[2, 7, 9, 5, 11, 3], [2, 5, 3]]
    with torch.no_grad():
        expected = {"prompts": texts, "token_logits": [[rounded(row) for row in model(torch.tensor([ids])).logits[0]] for ids in texts]}
        expected["masked_log_likelihoods"] = []
        for ids in texts:
            found = []
            for place in range(1, len(ids) - 1):
                masked = torch.tensor([ids])
                masked[0, place] = 4
                found.append(model(masked).logits[0, place].log_softmax(-1)[ids[place]])
            expected["masked_log_likelihoods"].append(rounded(torch.stack(found)))
    save(model, name, expected)


def write_adapted_encoder(model, name: str, batch: dict) -> None:
    lora = LoraConfig(r=2, task_type="SEQ_CLS", target_modules=["query", "output.dense"], lora_alpha=3)
    adapted = get_peft_model(model, lora).eval()
    with torch.no_grad():
        for parameter, weight in adapted.named_parameters():
            if "lora_" in parameter or "modules_to_save" in parameter:
                weight.normal_(0, 0.3)
        classes = [rounded(row) for row in adapted(**batch).logits]
    folder = OUT / f"{name}-lora"
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink()
    (folder / "expected.json").write_text(json.dumps({"classes": classes}) + "\n")


def save(model, name: str, expected: dict) -> None:
    model.save_pretrained(OUT / name)
    (OUT / name / "generation_config.json").unlink(missing_ok=True)
    (OUT / name / "tokenizer_config.json").write_text('{"tokenizer_class": "ByteTokenizer"}\n')
    (OUT / name / "expected.json").write_text(json.dumps(expected) + "\n")


def main() -> None:
    for seed, (family, fixed) in enumerate(CASES.items()):
        _, model = random_model(family, random.Random(seed), seed, **fixed)
        model.save_pretrained(OUT / family)
        (OUT / family / "generation_config.json").unlink()
        write_expected(model, OUT / family)
        if family in ADAPTERS:
            write_adapted(model, family, ADAPTERS[family])


    write_t5("t5", transformers.T5Config(**T5, feed_forward_proj="relu"), False, 11)
    t5_1_1 = transformers.T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    write_t5("t5-1.1", t5_1_1, True, 12)
    write_t5("mt5", transformers.MT5Config(**T5, feed_forward_proj="gated-gelu"), False, 13)
    write_t5("switch", transformers.SwitchTransformersConfig(**SWITCH), False, 17)
    # Of the longer text the encoder's experts drop tokens, of the short decoder's they do not.
    write_t5("switch-full", transformers.SwitchTransformersConfig(**SWITCH, expert_capacity=3), False, 18)
    write_deepseek(19)
    bert = transformers.BertConfig(**BERT)
    write_encoder("bert", transformers.BertForSequenceClassification._from_config(bert).eval(), 14)
    write_encoder("bert-bare", transformers.BertModel._from_config(bert).eval(), 15)
    roberta = transformers.RobertaConfig(**BERT)
    write_encoder("roberta", transformers.RobertaForSequenceClassification._from_config(roberta).eval(), 16)
    write_masked("bert-masked", transformers.BertForMaskedLM._from_config(bert).eval(), 20)
    write_masked("roberta-masked", transformers.RobertaForMaskedLM._from_config(roberta).eval(), 21)


if __name__ == "__main__":
    main()
