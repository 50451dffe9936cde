#!/usr/bin/env python3
"""Writes tests/golden/methods.json: what PyTorch gives for methods on one layer, by their papers' formulas.

usage: ENV/bin/python scripts/peers/method_goldens.py       (ENV holds torch)

Matrices are float64 [outputs, inputs]: a base, three experts and the Gram matrices of their inputs. Where the
formulas leave a choice (an inverse, a full rank) the matrices leave none.
"""
import json
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/methods.json"
OUTPUTS, INPUTS, EXPERTS, EXAMPLES = 7, 5, 3, 12


def eighths(*shape):
    return torch.randint(-8, 9, shape, dtype=torch.float64) / 8


def svd(matrix):
    return torch.linalg.svd(matrix, full_matrices=False)


def pave(base, experts, grams, keep):
    total = base.clone()
    for expert, gram in zip(experts, grams):
        gram = gram + 1e-6 * gram.diagonal().mean() * torch.eye(INPUTS, dtype=torch.float64)
        u, s, vt = svd(expert @ gram)
        total += u[:, :keep] @ s[:keep].diag() @ vt[:keep] @ torch.linalg.inv(gram) - base
    return total


def cat_merging(base, experts, grams, weight, count):
    total = base.clone()
    for i, expert in enumerate(experts):
        delta = expert - base
        conflict = sum(delta @ (grams[k] - weight * grams[i]) @ delta.T for k in range(EXPERTS) if k != i)
        values, vectors = torch.linalg.eigh(conflict)
        chosen = vectors[:, -count:][:, values[-count:] > 1e-9]
        total += delta - chosen @ chosen.T @ delta
    return total


def ortho_merge(base, experts, conflicting):
    unit = torch.eye(INPUTS, dtype=torch.float64)
    mean = sum(expert - base for expert in experts) / EXPERTS
    skews = []
    for expert in experts:
        delta = expert - base
        if conflicting:
            delta = delta * (torch.nn.functional.cosine_similarity(delta, mean, dim=1) < 0)[:, None]
        u, _, vt = svd(base.T @ (base + delta))
        rotation = u @ vt
        skew = torch.linalg.solve(rotation + unit, rotation - unit)
        skews.append((skew - skew.T) / 2)
    rotations = [torch.linalg.solve(unit - skew, unit + skew) for skew in skews]
    direction = sum(skews)
    merged = direction / direction.norm() * (sum(skew.norm() for skew in skews) / EXPERTS)
    rest = sum(expert - base @ rotation for expert, rotation in zip(experts, rotations))
    return base @ torch.linalg.solve(unit - merged, unit + merged) + rest


def subspace_boosting(base, experts, beta):
    u, s, vt = svd(sum(expert - base for expert in experts))
    first = int((s.cumsum(0) >= beta * s.sum()).nonzero()[0])
    return base + u @ s.clamp_min(s[first]).diag() @ vt


def magic(base, experts):
    deltas = torch.stack([expert - base for expert in experts])
    merged = deltas.sum(0) * 0.3
    ratio = deltas.norm(dim=2).mean(0) / merged.norm(dim=1)
    return base + merged * ratio.clamp_min(1)[:, None]


def main():
    torch.manual_seed(0)
    base = eighths(OUTPUTS, INPUTS)
    experts = [base + eighths(OUTPUTS, INPUTS) / 4 for _ in range(EXPERTS)]
    inputs = [eighths(EXAMPLES, INPUTS) for _ in range(EXPERTS)]
    grams = [x.T @ x / EXAMPLES for x in inputs]
    merged = {
        "pave": pave(base, experts, grams, keep=3),
        "cat_merging": cat_merging(base, experts, grams, weight=0.5, count=2),
        "ortho_merge": ortho_merge(base, experts, conflicting=False),
        "ortho_merge@conflicts": ortho_merge(base, experts, conflicting=True),
        "subspace_boosting": subspace_boosting(base, experts, beta=0.5),
        "magic": magic(base, experts),
    }
    OUT.write_text(json.dumps({
        "base": base.flatten().tolist(),
        "experts": [expert.flatten().tolist() for expert in experts],
        "grams": [gram.flatten().tolist() for gram in grams],
        "merged": {name: [round(x, 10) for x in value.flatten().tolist()] for name, value in merged.items()},
    }, indent=1) + "\n")


if __name__ == "__main__":
    main()
