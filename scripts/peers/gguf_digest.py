"""Prints a digest of the values that the package gguf reads from a Llama model's GGUF file, for tests/checkpoint/test_gguf.cpp.

usage: ENV/bin/python scripts/peers/gguf_digest.py FILE.gguf      (ENV holds gguf and numpy)

The SHA-256 of the tensors' SHA-256s (hexadecimal, one after the other), in the order of Hugging Face's names; of float32 values, rotated rows in
Hugging Face's order.
"""

import hashlib
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
}


def main() -> None:
    reader = GGUFReader(sys.argv[1])
    heads = {"attn_q": reader.fields["llama.attention.head_count"].contents(), "attn_k": reader.fields["llama.attention.head_count_kv"].contents()}
    digests = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        *block, part, _ = tensor.name.split(".")
        if part in heads:
            pairs = values.shape[0] // heads[part] // 2
            values = values.reshape(heads[part], pairs, 2, -1).swapaxes(1, 2).reshape(values.shape)
        name = (f"model.layers.{block[1]}." if block else "") + NAMES[part] + ".weight"
        digests[name] = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    print(hashlib.sha256("".join(digests[name] for name in sorted(digests)).encode()).hexdigest())


if __name__ == "__main__":
    main()
