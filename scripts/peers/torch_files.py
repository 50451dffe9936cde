"""Writes tests/golden/torch: files of torch.save() and what is in them (expected.json).

usage: ENV/bin/python scripts/peers/torch_files.py [FOLDER]      (ENV holds torch)
"""

import argparse
import json
import sys
from collections import OrderedDict
from pathlib import Path

import torch

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/torch")


def tensors() -> OrderedDict:
    storage = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        whole=storage.view(4, 6),
        part=storage[6:18].view(3, 4),
        transposed=torch.arange(6, dtype=torch.float32).view(2, 3).t(),
        channels_last=torch.arange(24.0).view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
        half=torch.tensor([0.5, -2.0]).half(),
        bfloat16=torch.tensor([1.5, -0.25]).bfloat16(),
        double=torch.tensor([[1e-300]], dtype=torch.float64),
        count=torch.tensor(7),
        truths=torch.tensor([True, False]),
        bytes=torch.tensor([1, 255], dtype=torch.uint8),
        empty=torch.zeros(0, 3),
    )


def main() -> None:
    OUT.mkdir(exist_ok=True)
    state = tensors()
    expected = {
        name: {"dtype": str(t.dtype).removeprefix("torch."), "shape": list(t.shape), "values": t.double().flatten().tolist()}
        for name, t in state.items()
    }
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")
    torch.save(state, OUT / "plain.pth")
    torch.save(state, OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(state, OUT / "protocol4.bin", pickle_protocol=4)
    parameters = {f"module.{name}": torch.nn.Parameter(t, requires_grad=False) for name, t in state.items()}
    nested = {"epoch": 3, "best": 0.5, "state_dict": parameters, "optimizer": {"state": {0: {"m": torch.ones(2)}}}}
    torch.save(nested, OUT / "nested.ckpt")
    torch.save(nested, OUT / "nested-legacy.ckpt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 1).state_dict(), OUT / "metadata.pt")

    torch.save({"w": torch.ones(1), "args": argparse.Namespace(x=1)}, OUT / "arguments.pth")
    torch.save(torch.nn.Linear(2, 1), OUT / "module.pth")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1)), OUT / "script.pt")
    torch.save({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(1)}}, OUT / "two.pth")
    torch.save([1, 2], OUT / "numbers.pth")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
