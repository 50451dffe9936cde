"""Compares two checkpoint folders tensor by tensor, in units in the last place of their dtype."""
import dataclasses
import pathlib

import torch
from safetensors import safe_open

INTEGER = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}


def open_folder(folder):
    """name -> a function that reads the tensor, over all shards of a folder."""
    tensors = {}
    for file in sorted(pathlib.Path(folder).glob("*.safetensors")):
        handle = safe_open(file, "pt")
        tensors.update((name, lambda h=handle, n=name: h.get_tensor(n)) for name in handle.keys())
    return tensors


def ordered_bits(tensor):
    """Integers in the order of the values: neighbours differ by one, and both zeros are 0."""
    bits = tensor.contiguous().view(INTEGER[tensor.dtype]).to(torch.int64)
    magnitude = bits & torch.iinfo(INTEGER[tensor.dtype]).max
    return torch.where(bits < 0, -magnitude, magnitude)


def ulp_distance(a, b):
    distance = (ordered_bits(a) - ordered_bits(b)).abs()
    return torch.where(a.isnan() & b.isnan(), 0, distance)


@dataclasses.dataclass
class Agreement:
    entries: int = 0
    equal: int = 0
    within_one: int = 0
    worst_ulp: int = 0
    worst_tensor: str = ""
    unexplained: int = 0  # further than 1 ulp apart, and not where `explain` says the result is open

    def share(self, count):
        return count / self.entries if self.entries else 1.0


def compare(ours, theirs, explain=None, most=None):
    """Agreement of two folders; `explain(name)` marks entries that the method's definition leaves open.
    Tensors of more than `most` entries are left out.
    ValueError when names, shapes or dtypes differ."""
    ours, theirs = open_folder(ours), open_folder(theirs)
    if ours.keys() != theirs.keys():
        raise ValueError(f"tensors differ: {sorted(ours.keys() ^ theirs.keys())[:4]} are only on one side")
    result = Agreement()
    for name in sorted(ours):
        a, b = ours[name](), theirs[name]()
        if a.shape != b.shape or a.dtype != b.dtype:
            raise ValueError(f"{name}: {a.dtype} {list(a.shape)} here, {b.dtype} {list(b.shape)} there")
        if most is not None and a.numel() > most:
            continue
        distance = ulp_distance(a, b)
        far = distance > 1
        result.entries += a.numel()
        result.equal += int((distance == 0).sum())
        result.within_one += a.numel() - int(far.sum())
        if far.any() and explain:
            far &= ~explain(name)
        result.unexplained += int(far.sum())
        if a.numel() and int(distance.max()) > result.worst_ulp:
            result.worst_ulp, result.worst_tensor = int(distance.max()), name
    return result
