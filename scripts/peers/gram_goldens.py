"""Writes grams.json next to the models of tests/golden/models: what PyTorch's hooks see of every layer's input.

usage: ENV/bin/python scripts/peers/gram_goldens.py [MODELS]      (ENV holds transformers 5 and torch)

Run it after model_goldens.py. For each weight: the number of inputs x, and of the sum of x x^T, in float64, the trace, the Frobenius
norm and the first row. Language models read the prompts of expected.json one by one, encoder-decoders with its decoder_ids. The
models of plain PyTorch, small_cnn and mlp, are made here; they read the sines of 0, 0.37, 0.74, ... as inputs.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from model_cases import randomize
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/models")
FAMILIES = {
    "AutoModelForCausalLM": ["llama", "mistral", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt_neox"],
    "AutoModelForSeq2SeqLM": ["t5", "t5-1.1", "mt5"],
    "AutoModelForSequenceClassification": ["bert", "roberta"],
    "AutoModel": ["bert-bare"],
}


class Grams:
    """Sums the products of the inputs of every layer of a model."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.sums, self.rows = {}, {}
        for name, module in model.named_modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d, Conv1D)):
                module.register_forward_pre_hook(lambda module, args, name=name: self.add(f"{name}.weight", module, args[0]))

    def add(self, name: str, module: torch.nn.Module, x: torch.Tensor) -> None:
        if isinstance(module, torch.nn.Conv2d):
            x = F.unfold(x, module.kernel_size, padding=module.padding, stride=module.stride).transpose(1, 2)
        rows = x.detach().flatten(0, -2).double()
        self.sums[name] = self.sums.get(name, 0) + rows.T @ rows
        self.rows[name] = self.rows.get(name, 0) + len(rows)

    def write(self, folder: Path) -> None:
        lines = []
        for name, gram in sorted(self.sums.items()):
            numbers = [gram.trace(), gram.norm(), *gram[0]]
            lines.append(f"{json.dumps(name)}: {json.dumps([self.rows[name], *(float(f'{n:.8g}') for n in numbers)])}")
        (folder / "grams.json").write_text("{" + ",\n".join(lines) + "}\n")


class SmallCnn(torch.nn.Module):
    def __init__(self, classes: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, channels, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.hidden = torch.nn.Linear(2 * channels * 49, hidden)
        self.head = torch.nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.head(F.relu(self.hidden(x.flatten(1))))


class Mlp(torch.nn.Module):
    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(inputs, hidden)
        self.head = torch.nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.hidden(x)))


def write_plain(name: str, model: torch.nn.Module, config: dict, shape: list[int]) -> None:
    folder = OUT / name
    folder.mkdir(exist_ok=True)
    randomize(model, 17)
    grams = Grams(model)
    model(torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) * 0.37).float().view(shape))
    grams.write(folder)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": name} | config) + "\n")


def write_family(kind: str, name: str) -> None:
    folder = OUT / name
    model = getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager").eval()
    expected = json.loads((folder / "expected.json").read_text())
    grams = Grams(model)
    for ids in expected["prompts"]:
        more = {"decoder_input_ids": torch.tensor([expected["decoder_ids"]])} if "decoder_ids" in expected else {}
        model(input_ids=torch.tensor([ids]), **more)
    grams.write(folder)


def main() -> None:
    torch.manual_seed(17)
    with torch.no_grad():
        for kind, names in FAMILIES.items():
            for name in names:
                write_family(kind, name)
        sizes = {"classes": 3, "channels": 2, "hidden": 4}
        write_plain("small_cnn", SmallCnn(**sizes), sizes, [3, 1, 28, 28])
        sizes = {"inputs": 12, "hidden": 5, "classes": 3}
        write_plain("mlp", Mlp(**sizes), sizes, [7, 12])


if __name__ == "__main__":
    main()
