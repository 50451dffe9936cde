"""Writes tests/golden/vision.json: what vision models of other libraries give for weights and inputs that are formulas.

usage: ENV/bin/python scripts/peers/vision_goldens.py [FILE]      (ENV holds torch, torchvision, transformers and timm)

Weights are sines, so that both sides compute them and only the scores are stored: element i of the tensor with index k in name order
is s = sin(0.37 i + k + 1); a weight of several dimensions is s * sqrt(2 / fan_in), a scale 0.5 + 0.2 s, a running variance 1.2 + 0.4 s, any
other vector 0.1 s. Integer buffers do not count. Inputs are sin(0.37 i).
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/vision.json")


def sines(count: int, shift: float) -> torch.Tensor:
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.37 + shift)


def formula(name: str, index: int, shape: torch.Size) -> torch.Tensor:
    s = sines(shape.numel(), index + 1).view(shape)
    if len(shape) >= 2:
        return s * (2 * shape[0] / shape.numel()) ** 0.5
    if name.endswith(".weight"):
        return 0.5 + 0.2 * s
    return 1.2 + 0.4 * s if name.endswith(".running_var") else 0.1 * s


def fill(model: torch.nn.Module) -> torch.nn.Module:
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    for index, (name, tensor) in enumerate(sorted(state.items())):
        tensor.copy_(formula(name, index, tensor.shape))
    return model.eval()


def inputs(shape: list[int]) -> torch.Tensor:
    return sines(torch.Size(shape).numel(), 0).float().view(shape)


class BasicBlock(torch.nn.Module):
    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(wide, out, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(out)
        self.conv2 = torch.nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(out)
        if stride > 1:
            self.downsample = torch.nn.Sequential(torch.nn.Conv2d(wide, out, 1, stride, bias=False), torch.nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class CifarResNet(torch.nn.Module):
    """He et al. 2015, section 4.2, with projections as shortcuts."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        wide = 16
        for stage in range(3):
            out = 16 << stage
            blocks = [BasicBlock(wide if i == 0 else out, out, 2 if i == 0 and stage else 1) for i in range((depth - 2) // 6)]
            setattr(self, f"layer{stage + 1}", torch.nn.Sequential(*blocks))
            wide = out
        self.fc = torch.nn.Linear(wide, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def case(config: dict, model: torch.nn.Module, shape: list[int], **more) -> dict:
    scores = fill(model)(inputs(shape))
    scores = getattr(scores, "logits", scores)
    return {"config": config, "shape": shape, "scores": [[float(f"{x:.8g}") for x in row[:8].tolist()] for row in scores]} | more


def trained(depth: int) -> dict:
    """What a step in training mode gives, and what it leaves in the running moments of the last norm."""
    model = fill(CifarResNet(depth, 10)).train()
    scores = model(inputs([4, 3, 32, 32]))
    norm = model.layer3[-1].bn2
    return {
        "scores": [[float(f"{x:.8g}") for x in row.tolist()] for row in scores],
        "running_mean": [float(f"{x:.8g}") for x in norm.running_mean[:8].tolist()],
        "running_var": [float(f"{x:.8g}") for x in norm.running_var[:8].tolist()],
    }


def cases() -> dict:
    found = {}
    for depth in (20, 32, 44, 56):
        config = {"model_type": "cifar_resnet", "depth": depth}
        found[f"cifar_resnet{depth}"] = case(config, CifarResNet(depth, 10), [2, 3, 32, 32])
    found["cifar_resnet20"]["trained"] = trained(20)
    for depth in (18, 34, 50):
        config = {"model_type": "torchvision_resnet", "depth": depth, "image_size": 40, "classes": 10}
        found[f"resnet{depth}"] = case(config, getattr(torchvision.models, f"resnet{depth}")(num_classes=10), [2, 3, 40, 40])
    return found


if __name__ == "__main__":
    torch.manual_seed(0)
    with torch.no_grad():
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in cases().items()]
    OUT.write_text("{" + ",\n".join(lines) + "}\n")
