"""Turns stories260K (llama2.c's .bin and tokenizer) into a Hugging Face folder of a Llama model.

usage: ENV/bin/python scripts/peers/stories260k.py FOLDER_OF_stories260K.bin OUT     (ENV: torch, safetensors, sentencepiece)

The .bin holds 7 int32 (width, inner width, layers, heads, kv heads, words, positions) and float32 weights kind by kind,
each for all layers. It turns neighbouring values of a head as pairs, Llama's checkpoints its two halves. tok512.bin holds
a score, a length and the bytes of every piece of a SentencePiece BPE model.
"""

import json
import struct
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2 as pieces_format


def weights(path: Path) -> tuple[dict, dict]:
    data = path.read_bytes()
    width, inner, layers, heads, kv_heads, words, positions = struct.unpack_from("<7i", data)
    values = torch.frombuffer(bytearray(data[28:]), dtype=torch.float32)
    size, at, tensors = width // heads, 0, {}

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        count = torch.Size(shape).numel()
        at += count
        return values[at - count : at].reshape(shape).clone()

    def per_layer(name: str, *shape: int, turned: bool = False) -> None:
        for layer in range(layers):
            weight = take(*shape)
            if turned:
                weight = weight.view(-1, size // 2, 2, width).transpose(1, 2).reshape(shape).contiguous()
            tensors[f"model.layers.{layer}.{name}.weight"] = weight

    tensors["model.embed_tokens.weight"] = take(words, width)
    per_layer("input_layernorm", width)
    per_layer("self_attn.q_proj", width, width, turned=True)
    per_layer("self_attn.k_proj", kv_heads * size, width, turned=True)
    per_layer("self_attn.v_proj", kv_heads * size, width)
    per_layer("self_attn.o_proj", width, width)
    per_layer("post_attention_layernorm", width)
    per_layer("mlp.gate_proj", inner, width)
    per_layer("mlp.down_proj", width, inner)
    per_layer("mlp.up_proj", inner, width)
    tensors["model.norm.weight"] = take(width)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return config, tensors


def tokenizer(path: Path) -> pieces_format.ModelProto:
    data, at = path.read_bytes(), 4
    model = pieces_format.ModelProto()
    model.trainer_spec.model_type = pieces_format.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    while at < len(data):
        score, length = struct.unpack_from("<fi", data, at)
        text = data[at + 8 : at + 8 + length].decode()
        at += 8 + length
        index = len(model.pieces)
        names = {0: ("<unk>", 2), 1: ("<s>", 3), 2: ("</s>", 3)}  # numbers: SentencePiece's kinds of piece
        text, kind = names.get(index, (text.replace(" ", "\u2581"), 6 if 3 <= index < 259 else 1))
        if kind == 6:
            text = f"<0x{index - 3:02X}>"
        model.pieces.add(piece=text, score=score, type=kind)
    model.trainer_spec.vocab_size = len(model.pieces)
    return model


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    config, tensors = weights(source / "stories260K.bin")
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "tokenizer.model").write_bytes(tokenizer(source / "tok512.bin").SerializeToString())
    (out / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True})
    )


if __name__ == "__main__":
    main()
