#!/usr/bin/env python3
"""Writes a base model and experts (base + Gaussian task vectors) of Llama's layout, for timings and parity.

  make_checkpoints.py OUT --size 10m|100m|1b [--dtype bfloat16|float32] [--layers N] [--experts 3]

Every tensor is a function of (seed, model, tensor), so the same arguments give the same bytes. Random
bits are cheap stand-ins for training: what a merge costs does not depend on the values, and what it
computes is compared with another program's result on the same values. Needs numpy; holds one tensor.
"""
import argparse
import json
import os
import pathlib
import struct

import numpy as np

# width, layers, feed-forward width, vocabulary, heads, key-value heads
SIZES = {
    "10m": (256, 6, 704, 8192, 8, 4),
    "100m": (768, 12, 2048, 32000, 32, 4),
    "1b": (2048, 22, 5632, 32000, 32, 4),
}
BASE_STD, DELTA_STD, EPSILON = 0.02, 0.002, 1e-5


def tensor_shapes(width, layers, ffn, vocabulary, heads, kv_heads):
    kv = width // heads * kv_heads
    shapes = {"model.embed_tokens.weight": (vocabulary, width)}
    for layer in range(layers):
        block = {
            "input_layernorm": (width,),
            "self_attn.q_proj": (width, width),
            "self_attn.k_proj": (kv, width),
            "self_attn.v_proj": (kv, width),
            "self_attn.o_proj": (width, width),
            "post_attention_layernorm": (width,),
            "mlp.gate_proj": (ffn, width),
            "mlp.up_proj": (ffn, width),
            "mlp.down_proj": (width, ffn),
        }
        shapes.update((f"model.layers.{layer}.{name}.weight", shape) for name, shape in block.items())
    shapes["model.norm.weight"] = (width,)
    shapes["lm_head.weight"] = (vocabulary, width)
    return shapes


def normal(seed, model, tensor, shape, std):
    draws = np.random.Generator(np.random.SFC64([seed, model, tensor])).standard_normal(shape, np.float32)
    return draws * np.float32(std)


def to_bfloat16(values):
    """The bits of the nearest bfloat16, ties to even."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def values_of(seed, model, number, name, shape):
    centre = np.float32(1 if "norm" in name else 0)
    values = centre + normal(seed, 0, number, shape, BASE_STD)
    return values if model == 0 else values + normal(seed, model, number, shape, DELTA_STD)


def write_model(folder, model, args, shapes):
    folder.mkdir(parents=True)
    code, width = {"bfloat16": ("BF16", 2), "float32": ("F32", 4)}[args.dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + width * int(np.prod(shape))
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for number, (name, shape) in enumerate(shapes.items()):
            values = values_of(args.seed, model, number, name, shape)
            out.write(memoryview(to_bfloat16(values) if args.dtype == "bfloat16" else values).cast("B"))


def write_config(folder, dtype, size):
    width, layers, ffn, vocabulary, heads, kv_heads = size
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": dtype,
        "hidden_size": width, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary,
        "hidden_act": "silu", "rms_norm_eps": EPSILON, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "tie_word_embeddings": False,
        "bos_token_id": 1, "eos_token_id": 2}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--layers", type=int, help="another depth than the size's own")
    parser.add_argument("--experts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    size = list(SIZES[args.size])
    if args.layers:
        size[1] = args.layers
    for model in range(args.experts + 1):
        folder = args.out / (f"expert{model}" if model else "base")
        if folder.exists():
            continue  # whole: a model gets its name when it is finished
        unfinished = args.out / f".{folder.name}.unfinished"
        if unfinished.exists():
            for file in unfinished.iterdir():
                file.unlink()
            unfinished.rmdir()
        write_model(unfinished, model, args, tensor_shapes(*size))
        write_config(unfinished, args.dtype, size)
        os.rename(unfinished, folder)


if __name__ == "__main__":
    main()
