"""Writes tests/golden/images: image files, and what Pillow and torchvision make of them (expected.json).

usage: ENV/bin/python scripts/peers/image_goldens.py [FOLDER]      (ENV holds torch, torchvision and pillow)

Rows are resized before columns, as Pillow did up to version 12; later ones choose the order, and single bytes differ by 1. Whole results are stored as the sum of byte i times (i mod 251 + 1), and their first row.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/images")
MODES = {"bilinear": transforms.InterpolationMode.BILINEAR, "bicubic": transforms.InterpolationMode.BICUBIC}


def planes(image: Image.Image) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def digest(values: np.ndarray) -> dict:
    flat = values.astype(np.int64).flatten()
    return {"shape": list(values.shape), "sum": int((flat * (np.arange(len(flat)) % 251 + 1)).sum()), "row": values[0, 0].tolist()}


def pictures() -> dict[str, Image.Image]:
    y, x = np.mgrid[0:37, 0:53]
    noise = np.random.default_rng(0).integers(0, 256, (37, 53, 3))
    smooth = np.stack([4 * x, 6 * y, 3 * (x + y)], 2)
    mixed = ((smooth * 3 + noise) // 4).astype(np.uint8)
    alpha = np.concatenate([mixed, (mixed[..., :1] // 2)], 2)
    return {
        "colour.png": Image.fromarray(mixed),
        "grey.png": Image.fromarray(mixed[..., 0]),
        "alpha.png": Image.fromarray(alpha),
        "palette.png": Image.fromarray(mixed).quantize(16),
        "colour.jpg": Image.fromarray(mixed),
        "grey.jpg": Image.fromarray(mixed[..., 1]),
    }


def main() -> None:
    OUT.mkdir(exist_ok=True)
    expected = {}
    for name, picture in pictures().items():
        picture.save(OUT / name)
        image = Image.open(OUT / name)
        image.load()
        rgb = Image.fromarray(np.asarray(image.convert("RGB"))) if name != "alpha.png" else Image.fromarray(np.asarray(image)[..., :3])
        found = {"pixels": digest(planes(rgb)), "resized": {}, "prepared": {}}
        for mode, filtered in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
            for height, width in ((16, 16), (37, 20), (80, 71), (12, 90)):
                found["resized"][f"{mode} {height} {width}"] = digest(planes(rgb.resize((width, rgb.height), filtered).resize((width, height), filtered)))
            for resize, crop in ((32, 28), (24, 24), (40, 48)):
                steps = transforms.Compose(
                    [
                        transforms.Resize(resize, MODES[mode]),
                        transforms.CenterCrop(crop),
                        transforms.ToTensor(),
                        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
                    ]
                )
                values = steps(rgb).double()
                weights = torch.arange(values.numel(), dtype=torch.float64).remainder(251) + 1
                found["prepared"][f"{mode} {resize} {crop}"] = float((values.flatten() * weights).sum())
        expected[name] = found
    (OUT / "expected.json").write_text("{" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in expected.items()) + "}\n")


if __name__ == "__main__":
    main()
