"""Writes tests/golden/gguf: small GGUF files, made with the package gguf, and the values that it reads from them.

usage: ENV/bin/python scripts/peers/gguf_goldens.py [OUT]      (ENV holds gguf, numpy and safetensors)

* types.gguf has one tensor of every type that Assay reads, with random blocks; types.safetensors the values that gguf gives them.
* FAMILY.gguf is the model of tests/golden/models/FAMILY, converted as llama.cpp's convert_hf_to_gguf.py converts it: names by the package's
  table; rotated rows of Llama's queries and keys interleaved; GPT-2's weights transposed; 1 added to Gemma's norms; experts joined. Matrices are
  float16, the rest is float32. llama.gguf and qwen3.gguf have tokenizers of 32 tokens.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import load_file, save_file

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden"
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN / "gguf"
TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16", "F32"]
HALVES = {  # where a block has its float16 scales
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
}
FAMILIES = {"llama": "llama", "mixtral": "llama", "qwen3": "qwen3", "phi3": "phi3", "gemma2": "gemma2", "gpt2": "gpt2"}


def writer(name: str, architecture: str) -> gguf.GGUFWriter:
    return gguf.GGUFWriter(OUT / f"{name}.gguf", architecture)


def close(file: gguf.GGUFWriter) -> None:
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def write_types() -> None:
    random = np.random.default_rng(1)
    file = writer("types", "qwen2")
    file.add_block_count(len(TYPES))
    add_sizes(file, {"hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 8, "rms_norm_eps": 1e-6})
    values = {}
    for i, name in enumerate(TYPES):
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        rows = random.integers(0, 256, (2, 256 // block, size), dtype=np.uint8)
        for at in HALVES.get(name, []):
            scales = random.normal(0, 0.02, rows.shape[:2]).astype(np.float16)
            rows[:, :, at : at + 2] = scales[:, :, None].view(np.uint8)
        if name in ("F16", "BF16", "F32"):
            floats = random.normal(0, 1, (2, 256)).astype(np.float32)
            kinds = {"F16": floats.astype(np.float16), "BF16": (floats.view(np.uint32) >> 16).astype(np.uint16), "F32": floats}
            rows = kinds[name].view(np.uint8).reshape(2, 256, size)
        rows = rows.reshape(2, -1)
        values[f"model.layers.{i}.mlp.up_proj.weight"] = dequantize(rows.view(np.float32) if name == "F32" else rows, kind).reshape(2, 256)
        file.add_tensor(f"blk.{i}.ffn_up.weight", rows, raw_dtype=kind)
    close(file)
    save_file(values, OUT / "types.safetensors")


def add_sizes(file: gguf.GGUFWriter, config: dict) -> None:
    file.add_context_length(config["max_position_embeddings"])
    file.add_embedding_length(config["hidden_size"])
    file.add_head_count(config["num_attention_heads"])
    file.add_head_count_kv(config["num_key_value_heads"])
    file.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if "intermediate_size" in config:
        file.add_feed_forward_length(config["intermediate_size"])
    if "head_dim" in config:
        file.add_key_length(config["head_dim"])
        file.add_value_length(config["head_dim"])
    if "rope_parameters" in config:
        file.add_rope_freq_base(config["rope_parameters"]["rope_theta"])


def add_config(file: gguf.GGUFWriter, family: str, config: dict) -> None:
    if family == "gpt2":
        file.add_block_count(config["n_layer"])
        file.add_context_length(config["n_positions"])
        file.add_embedding_length(config["n_embd"])
        file.add_feed_forward_length(4 * config["n_embd"])
        file.add_head_count(config["n_head"])
        file.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    file.add_block_count(config["num_hidden_layers"])
    add_sizes(file, config)
    experts = config.get("num_local_experts", config.get("num_experts"))
    if experts:
        file.add_expert_count(experts)
        file.add_expert_used_count(config["num_experts_per_tok"])
    if family == "gemma2":
        file.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        file.add_final_logit_softcapping(config["final_logit_softcapping"])
        file.add_sliding_window(config["sliding_window"])
    if family == "phi3":
        rope = config["rope_parameters"]
        file.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config["hidden_size"] / config["num_attention_heads"]))
        file.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        for kind in ("long", "short"):
            file.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def joined_experts(tensors: dict, experts: int) -> dict:
    joined = {}
    for name, tensor in tensors.items():
        if ".experts.0." in name:
            joined[name.replace("experts.0.", "experts.")] = np.stack(
                [tensors[name.replace("experts.0.", f"experts.{i}.")] for i in range(experts)]
            )
        elif ".experts." not in name:
            joined[name] = tensor
    return joined


def write_family(family: str, architecture: str) -> None:
    config = json.loads((GOLDEN / "models" / family / "config.json").read_text())
    tensors = load_file(GOLDEN / "models" / family / "model.safetensors")
    file = writer(family, architecture)
    add_config(file, family, config)
    add_tokenizer(file, family)
    tensors = joined_experts(tensors, config.get("num_local_experts", config.get("num_experts", 0)))
    names = gguf.get_tensor_name_map(next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), 2)
    for name, tensor in sorted(tensors.items()):
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        if architecture == "llama" and ".q_proj." in name:
            tensor = interleaved(tensor, config["num_attention_heads"])
        if architecture == "llama" and ".k_proj." in name:
            tensor = interleaved(tensor, config["num_key_value_heads"])
        if family == "gpt2" and name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            tensor = tensor.T
        if family == "gemma2" and name.endswith("norm.weight"):
            tensor = tensor + 1
        tensor = np.ascontiguousarray(tensor)
        file.add_tensor(names.get_name(name, (".weight", ".bias")), tensor.astype(np.float16) if tensor.ndim > 1 else tensor)
    close(file)


def add_tokenizer(file: gguf.GGUFWriter, family: str) -> None:
    if family == "llama":  # SentencePiece's BPE, with a few bytes only
        texts = ["<unk>", "<s>", "</s>", "<0x0A>", "<0xC3>", "<0xA9>", "\u2581", "a", "b", "c", "ab", "bc", "\u2581a", "\u2581ab", "abc", "<|end|>"]
        kinds = [2, 3, 3, 6, 6, 6, *[1] * 9, 4]
        scores = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -9.0, -10.0, -11.0, -12.0, -2.0, -1.0, -3.0, -4.0, -5.0, 0.0]
        file.add_tokenizer_model("llama")
        file.add_token_scores(scores + [-20.0] * 16)
        file.add_add_bos_token(True)
        file.add_unk_token_id(0)
        file.add_bos_token_id(1)
    elif family == "qwen3":  # byte-level BPE
        texts = ["a", "b", "c", "1", "2", "\u0120", "\u0120a", "ab", "abc", "\u0120ab", "<|im_start|>", "<|im_end|>"]
        kinds = [*[1] * 10, 3, 3]
        file.add_tokenizer_model("gpt2")
        file.add_tokenizer_pre("qwen2")
        file.add_token_merges(["a b", "\u0120 a", "ab c", "\u0120 ab"])
        file.add_bos_token_id(10)
        file.add_eos_token_id(11)
        file.add_eot_token_id(10)
        file.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    else:
        return
    spare = [f"<unused{i}>" for i in range(32 - len(texts))]
    file.add_token_list(texts + spare)
    file.add_token_types(kinds + [5] * len(spare))


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write_types()
    for one, name in FAMILIES.items():
        write_family(one, name)
