"""Merges that take LoRA adapters as experts, compared with PEFT's merge_and_unload.

  python scripts/peers/adapters.py build/assay

Tiny random models with adapters of different ranks, patterns, embeddings and saved modules, in three dtypes. Assay adds the ranks in order and
PEFT by a matrix product, so float32 may differ in the last bits, and values next to a rounding boundary by one step of the dtype. PEFT also
rounds an embedding's factors to the model's dtype when it loads them."""

import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

LLAMA = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4}
CASES = {
    "llama, patterns, embedding, head": (
        transformers.LlamaConfig(**LLAMA, num_key_value_heads=2, tie_word_embeddings=False),
        {
            "r": 8,
            "lora_alpha": 24,
            "use_rslora": True,
            "target_modules": ["q_proj", "v_proj", "down_proj", "embed_tokens"],
            "rank_pattern": {"down_proj": 5},
            "alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 7},
            "modules_to_save": ["lm_head"],
        },
    ),
    "llama, tied, all linear layers": (
        transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True),
        {"r": 3, "lora_alpha": 5, "target_modules": "all-linear"},
    ),
    "gpt2": (
        transformers.GPT2Config(vocab_size=96, n_embd=48, n_layer=2, n_head=4),
        {"r": 4, "lora_alpha": 9, "target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
    ),
}


def write_case(folder: pathlib.Path, config, lora: dict, dtype: torch.dtype) -> None:
    base, adapter = folder / "base", folder / "lora"
    model = transformers.AutoModelForCausalLM.from_config(config).to(dtype)
    model.save_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora))
    for name, weight in adapted.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            weight.data.normal_(0, 0.1)
    adapted.save_pretrained(adapter)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(folder / "wanted")
    (folder / "m.yaml").write_text("merge_method: passthrough\nmodels: [{model: base+lora}]\n")


def main(program: str) -> None:
    torch.manual_seed(0)
    worst = 0.0
    for name, (config, lora) in CASES.items():
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            with tempfile.TemporaryDirectory() as work:
                folder = pathlib.Path(work)
                write_case(folder, config, lora, dtype)
                subprocess.run([program, "--quiet", "merge", folder / "m.yaml", "-o", folder / "out"], check=True)
                found, wanted = (load_file(folder / which / "model.safetensors") for which in ("out", "wanted"))
            if {k: (v.dtype, v.shape) for k, v in found.items()} != {k: (v.dtype, v.shape) for k, v in wanted.items()}:
                sys.exit(f"{name}: other tensors")
            values = sum(tensor.numel() for tensor in found.values())
            differing = sum(int((found[k] != wanted[k]).sum()) for k in found)
            # In steps of the dtype at the largest value of the tensor.
            steps = max(
                float((found[k].double() - wanted[k].double()).abs().max() / wanted[k].double().abs().max().clamp(min=1e-3)) for k in found
            ) / torch.finfo(dtype).eps
            worst = max(worst, steps / (4 if dtype == torch.float32 else 1))
            print(f"{name}, {str(dtype)[6:]}: {values} values, {differing} differ, by at most {steps:.2f} steps")
    if worst > 1:
        sys.exit("differs from merge_and_unload by more than rounding")


main(sys.argv[1])
