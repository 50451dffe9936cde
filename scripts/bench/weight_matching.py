#!/usr/bin/env python3
"""Times git_rebasin's weight matching of two ResNets against NumPy and SciPy.

  ENV/bin/python scripts/bench/weight_matching.py PROGRAM --work FOLDER [--depth 50] [--models A B]

PROGRAM is build/assay. Needs numpy, scipy, safetensors, torch and torchvision. Without --models two ResNets of
different random weights are made in FOLDER; with it, folders of two models with torchvision's names of tensors
(torchvision_resnet, cifar_resnet) are matched. Both programs read the models, match them by coordinate ascent and
write the mean. What has to agree is the objective: the inner product of the first model's weights and the second's
reordered ones, BatchNorm's running moments left out. Orders of groups are drawn differently, so that the local optimum
may be another one.
"""
import argparse
import json
import pathlib
import time

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.optimize import linear_sum_assignment

from process import measure

MAX_SWEEPS = 100


def is_moment(name):
    return name.endswith((".running_mean", ".running_var"))


def read(folder):
    tensors = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors.update(load_file(file))
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items() if tensor.dtype.kind == "f"}


def groups_of(tensors):
    """For each group of channels its (tensor, axis)."""
    groups = [[]]

    def norm(layer, group):
        groups[group].extend((f"{layer}.{part}", 0) for part in ("weight", "bias", "running_mean", "running_var"))

    def layer(conv, bn, reads, gives):
        groups[reads].append((conv + ".weight", 1))
        groups[gives].append((conv + ".weight", 0))
        norm(bn, gives)

    groups[0].append(("conv1.weight", 0))
    norm("bn1", 0)
    stream, stage = 0, 1
    while f"layer{stage}.0.conv1.weight" in tensors:
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in tensors:
            prefix, reads = f"layer{stage}.{block}.", stream
            if prefix + "downsample.0.weight" in tensors:
                groups.append([])
                stream = len(groups) - 1
                layer(prefix + "downsample.0", prefix + "downsample.1", reads, stream)
            number = 1
            while f"{prefix}conv{number}.weight" in tensors:
                gives = stream
                if f"{prefix}conv{number + 1}.weight" in tensors:
                    groups.append([])
                    gives = len(groups) - 1
                layer(f"{prefix}conv{number}", f"{prefix}bn{number}", reads, gives)
                reads, number = gives, number + 1
            block += 1
        stage += 1
    groups[stream].append(("fc.weight", 1))
    return groups


class Matching:
    def __init__(self, first, other):
        self.first, self.other, self.groups = first, other, groups_of(first)
        sizes = [first[group[0][0]].shape[group[0][1]] for group in self.groups]
        self.orders = [np.arange(size) for size in sizes]
        self.axes = {}
        for index, group in enumerate(self.groups):
            for name, axis in group:
                self.axes.setdefault(name, []).append((index, axis))

    def reordered(self, name, but=None):
        tensor = self.other[name]
        for group, axis in self.axes.get(name, []):
            if group != but:
                tensor = np.take(tensor, self.orders[group], axis)
        return tensor

    def run(self, seed):
        generator = np.random.default_rng(seed)
        for sweep in range(1, MAX_SWEEPS + 1):
            grew = False
            for group in generator.permutation(len(self.groups)):
                size = len(self.orders[group])
                products = np.zeros((size, size))
                for name, axis in self.groups[group]:
                    if is_moment(name):
                        continue
                    a = np.moveaxis(self.first[name], axis, 0).reshape(size, -1)
                    b = np.moveaxis(self.reordered(name, group), axis, 0).reshape(size, -1)
                    products += a @ b.T
                _, order = linear_sum_assignment(products, maximize=True)
                places = np.arange(size)
                if products[places, order].sum() > products[places, self.orders[group]].sum() + 1e-12:
                    self.orders[group] = order
                    grew = True
            if not grew:
                return sweep
        return MAX_SWEEPS


def objective(first, other):
    return sum(float(np.vdot(first[name], other[name])) for name in first if not is_moment(name))


def make_models(depth, work):
    import torch
    import torchvision

    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        folder = work / f"resnet{depth}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        state = getattr(torchvision.models, f"resnet{depth}")(weights=None).state_dict()
        save_file({name: tensor.numpy() for name, tensor in state.items() if tensor.is_floating_point()},
                  folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps({"model_type": "torchvision_resnet", "depth": depth}))
        folders.append(folder)
    return folders


def match(program, folders, work):
    request = work / "matching.json"
    request.write_text(json.dumps({"method": "git_rebasin", "experts": [str(folder) for folder in folders]}))
    merged = work / "matched"
    begin = time.perf_counter()
    usage = measure([program, "merge", request, "-o", merged, "--replace", "--json"], work / "matching.log")
    ours = time.perf_counter() - begin
    first, mean = read(folders[0]), read(merged)
    matched = {name: 2 * mean[name] - first[name] for name in first}

    begin = time.perf_counter()
    first, other = read(folders[0]), read(folders[1])
    matching = Matching(first, other)
    sweeps = matching.run(0)
    reordered = {name: matching.reordered(name) for name in first}
    save_file({name: ((first[name] + reordered[name]) / 2).astype(np.float32) for name in first},
              work / "numpy.safetensors")
    theirs = time.perf_counter() - begin
    print(f"Assay: objective {objective(first, matched):.4f} in {ours:.1f} s, {usage.cpu_s:.1f} s of CPU")
    print(f"NumPy: objective {objective(first, reordered):.4f} in {theirs:.1f} s, {sweeps} sweeps over "
          f"{len(matching.groups)} groups")
    print(f"not matched: {objective(first, other):.4f}; times: {theirs / ours:.2f} to 1")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--models", type=pathlib.Path, nargs=2)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    folders = [path.resolve() for path in options.models] if options.models else make_models(options.depth, work)
    match(options.program.resolve(), folders, work)


if __name__ == "__main__":
    main()
