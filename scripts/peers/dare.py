"""Holds DARE's outputs, which are random, to their distribution: that of Assay and that of mergekit.

With one expert of weight 1 the kept entries can be read off the output. Under the definition every entry
is kept independently with probability p (the density in the working dtype), so the kept count and the sum
and sum of squares of the kept part of the task vector have known means and variances: their deviations
in standard errors are checked tensor by tensor. With several experts the totals of both tools are compared.
"""
import dataclasses
import filecmp
import math

import torch

import compare

MOST_STANDARD_ERRORS = 5.5  # of a few hundred draws; a false alarm once in 10^5 runs
MOST_RATIO = {"float32": 0.005, "bfloat16": 0.01}  # bfloat16 rounds mergekit's rescaling factor to 8 bits


@dataclasses.dataclass
class Draws:
    dtype: str
    kept: float = math.nan           # share of entries kept by Assay
    expected: float = math.nan
    deviation: float = 0.0           # the largest of all tensors, in standard errors
    deviation_mergekit: float = 0.0
    norm_ratio: float = 1.0          # Assay's norm of output - base over mergekit's
    reproducible: bool = False       # same seed, same bytes; another seed, other bytes

    def passes(self):
        return (self.reproducible and self.deviation < MOST_STANDARD_ERRORS
                and abs(self.norm_ratio - 1) < MOST_RATIO[self.dtype])


def deviations(output, base, expert, p):
    """Standard errors by which count, sum and sum of squares of the kept part are off, and the count."""
    delta = (expert - base).double()
    changeable = delta != 0
    n = int(changeable.sum())
    kept = ((output != base) & changeable).double()
    spread = math.sqrt(p * (1 - p))
    found = []
    for weight in (changeable.double(), delta, delta * delta):
        error = spread * float(weight.norm())
        found.append(abs(float((weight * (kept - p)).sum())) / error if error else 0.0)
    return max(found), float(kept.sum()), n


def kept_entries(folder, inputs, p):
    output = compare.open_folder(folder)
    worst, kept, entries = 0.0, 0.0, 0
    for name in output:
        deviation, count, n = deviations(output[name](), inputs["base"][name](), inputs["expert1"][name](), p)
        worst, kept, entries = max(worst, deviation), kept + count, entries + n
    return worst, kept / entries


def delta_norm(folder, base):
    output = compare.open_folder(folder)
    return math.sqrt(sum(float((output[n]().double() - base[n]().double()).square().sum()) for n in output))


def same_files(a, b):
    names = [file.name for file in a.glob("*.safetensors")]
    return all(filecmp.cmp(a / name, b / name, shallow=False) for name in names)


def row(merges, config, folder):
    inputs = {part.name: compare.open_folder(part) for part in folder.iterdir()}
    first = merges.assay(config, seed=1)
    result = Draws(config["dtype"])
    result.reproducible = (same_files(first, merges.assay(config, seed=1, name="again"))
                           and not same_files(first, merges.assay(config, seed=2, name="again")))
    theirs = merges.mergekit(config, seed=1)
    result.norm_ratio = delta_norm(first, inputs["base"]) / delta_norm(theirs, inputs["base"])
    if len(config["models"]) == 1:
        density = config["models"][0]["parameters"]["density"]
        result.expected = float(torch.tensor(density, dtype=getattr(torch, config["dtype"])))
        result.deviation, result.kept = kept_entries(first, inputs, result.expected)
        result.deviation_mergekit, _ = kept_entries(theirs, inputs, result.expected)
    return result
