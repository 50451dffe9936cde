"""Writes tests/golden/vision.json: what vision models of other libraries give for weights and inputs that are formulas.

usage: ENV/bin/python scripts/peers/vision_goldens.py [FILE]      (ENV holds torch, torchvision, transformers and timm)

Weights are hashes, so that both sides compute them and only the scores are stored: element i of the tensor with index k in name order
is the s of hashed() below, spread over [-1, 1]; a weight of several dimensions is s * sqrt(6 / fan_in), a scale 0.5 + 0.2 s, a running
variance 1.2 + 0.4 s, any other vector 0.1 s. Integer buffers do not count. Inputs are sin(0.37 i).
"""

import json
import sys
import tempfile
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import torchvision
import transformers
from safetensors.torch import load_file

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/vision.json")


def sines(count: int, shift: float) -> torch.Tensor:
    return torch.sin(torch.arange(count, dtype=torch.float64) * 0.37 + shift)


def hashed(count: int, index: int) -> torch.Tensor:
    low = 0xFFFFFFFF
    h = (torch.arange(count) * 2654435761 + index * 40503) & low
    h = ((h ^ (h >> 15)) * 2246822519) & low
    h = ((h ^ (h >> 13)) * 3266489917) & low
    return (h ^ (h >> 16)).double() / 2**31 - 1


def formula(name: str, index: int, shape: torch.Size) -> torch.Tensor:
    s = hashed(shape.numel(), index + 1).view(shape)
    if len(shape) >= 2:
        return s * (6 * shape[0] / shape.numel()) ** 0.5
    if name.endswith(".weight"):
        return 0.5 + 0.2 * s
    return 1.2 + 0.4 * s if name.endswith(".running_var") else 0.1 * s


def fill(model: torch.nn.Module, renamed=lambda name: name) -> torch.nn.Module:
    state = {renamed(name): tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
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


def case(config: dict, model: torch.nn.Module, shape: list[int], renamed=lambda name: name, **more) -> dict:
    scores = fill(model, renamed)(inputs(shape))
    for part in ("logits", "image_embeds", "pooler_output"):
        scores = getattr(scores, part, scores)
    return {"config": config, "shape": shape, "scores": [[float(f"{x:.8g}") for x in row[:8].tolist()] for row in scores]} | more


def lite_name(name: str) -> str:
    """timm's name of a tensor of EfficientNet-lite0 as the PyPI package efficientnet-lite-pytorch has it."""
    stem = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    parts = name.split(".")
    if parts[0] != "blocks":
        return ".".join([stem[parts[0]], *parts[1:]])
    stage, block = int(parts[1]), int(parts[2])
    first = stage == 0  # without expansion
    layers = {"conv_dw": "_depthwise_conv", "conv_pw": "_project_conv" if first else "_expand_conv", "conv_pwl": "_project_conv"}
    layers |= {"bn1": "_bn1", "bn2": "_bn2"} if first else {"bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"}
    index = sum([1, 2, 2, 3, 3, 4, 1][:stage]) + block
    return ".".join([f"_blocks.{index}", layers[parts[3]], *parts[4:]])


def saved_names(model):
    """transformers gives tensors other names in memory than in files: by each of the former, that in a file."""
    state = model.state_dict()
    for index, tensor in enumerate(state.values()):
        tensor.fill_(index)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stored = load_file(Path(folder) / "model.safetensors")
    names = dict(zip(state, state))
    for name, tensor in stored.items():
        names[list(state)[int(tensor.flatten()[0])]] = name
    return names.__getitem__


def transformers_cases() -> dict:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 12, "patch_size": 4}
    found = {}
    vit = transformers.ViTConfig(**sizes, num_labels=3)
    classifier = transformers.ViTForImageClassification._from_config(vit, attn_implementation="eager")
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "num_labels": 3} | sizes
    found["vit"] = case(config, classifier, [2, 3, 12, 12], saved_names(classifier))
    clip = transformers.CLIPVisionConfig(**sizes, projection_dim=6)
    projected = transformers.CLIPVisionModelWithProjection._from_config(clip, attn_implementation="eager")
    config = {"model_type": "clip_vision_model", "projection_dim": 6} | sizes
    found["clip_projected"] = case(config | {"architectures": ["CLIPVisionModelWithProjection"]}, projected, [2, 3, 12, 12], saved_names(projected))
    bare = transformers.CLIPVisionModel._from_config(clip, attn_implementation="eager")
    found["clip_bare"] = case(config, bare, [2, 3, 12, 12], saved_names(bare))
    return found


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
    config = {"model_type": "vgg11", "image_size": 64, "classes": 10, "width": 64}
    found["vgg11"] = case(config, torchvision.models.vgg11(num_classes=10), [2, 3, 64, 64])
    found["vgg11_bn"] = case(config | {"batch_norm": True}, torchvision.models.vgg11_bn(num_classes=10), [2, 3, 64, 64])
    lite = timm.create_model("tf_efficientnet_lite0", num_classes=10)
    found["efficientnet_lite0"] = case({"model_type": "efficientnet_lite0", "image_size": 64, "classes": 10}, lite, [2, 3, 64, 64], lite_name)
    return found | transformers_cases()


if __name__ == "__main__":
    torch.manual_seed(0)
    with torch.no_grad():
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in cases().items()]
    OUT.write_text("{" + ",\n".join(lines) + "}\n")
