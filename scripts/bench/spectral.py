#!/usr/bin/env python3
"""Times Iso-C and TSV-M: Assay's program, and PyTorch on the same checkpoints by the published formulas.

  ENV/bin/python scripts/bench/spectral.py --layers 2 --repeat 3      (ENV: see scripts/peers/install.sh)

Both read a base and three experts in float32, merge and write one file. PyTorch factorises in float32 with
torch.linalg.svd, on all cores, as the authors' programs do. Embeddings and the head are left to the mean. Runs
alternate. Assay's times are those of the whole process, checks and hashes included; PyTorch's begin when its
modules are loaded. CPU is user + system. Says how far the results are apart, relative to the largest merged delta.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import process

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPERTS = 3
OTHERS = ("embed", "lm_head")


def is_matrix(name, tensor):
    return tensor.ndim == 2 and not any(part in name for part in OTHERS)


def polar(torch, matrix):
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    return u @ vt


def iso_c(torch, deltas):
    u, s, vt = torch.linalg.svd(sum(deltas), full_matrices=False)
    return s.mean() * (u @ vt)


def tsv_m(torch, deltas):
    parts = [torch.linalg.svd(delta, full_matrices=False) for delta in deltas]
    kept = min(deltas[0].shape) // len(deltas)
    u = polar(torch, torch.cat([part[0][:, :kept] for part in parts], 1))
    vt = polar(torch, torch.cat([part[2][:kept] for part in parts]))
    return u @ torch.diag(torch.cat([part[1][:kept] for part in parts])) @ vt


def merge_with_torch(method, folder, out):
    import safetensors.torch
    import torch
    wall, cpu = time.perf_counter(), time.process_time()
    base, *experts = [safetensors.torch.load_file(next((folder / name).glob("*.safetensors")))
                      for name in ("base", *(f"expert{i + 1}" for i in range(EXPERTS)))]
    merged = {}
    for name, tensor in base.items():
        deltas = [expert[name] - tensor for expert in experts]
        delta = method(torch, deltas) if is_matrix(name, tensor) else sum(deltas) / len(deltas)
        merged[name] = tensor + delta
    out.mkdir()
    safetensors.torch.save_file(merged, out / "model.safetensors")
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))


def distance(folder, one, other):
    """The largest difference of two merges, relative to the largest change of the base."""
    import safetensors.torch
    load = lambda path: safetensors.torch.load_file(next(path.glob("*.safetensors")))
    base, a, b = load(folder / "base"), load(one), load(other)
    change = max((b[name] - base[name]).abs().max().item() for name in base)
    return max((a[name] - b[name]).abs().max().item() for name in base) / change


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/assay")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/bench")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--torch", choices=["iso_c", "tsv_m"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    work, methods = args.work.resolve(), {"iso_c": iso_c, "tsv_m": tsv_m}
    folder, outs = work / f"spectral-{args.layers}", {tool: work / f"spectral-{tool}" for tool in ("assay", "torch")}
    if args.torch:
        return merge_with_torch(methods[args.torch], folder, outs["torch"])

    work.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        subprocess.run([sys.executable, ROOT / "scripts/bench/make_checkpoints.py", folder, "--size", "100m",
                        "--dtype", "float32", "--layers", str(args.layers)], check=True)
    for method in methods:
        request = {"method": method, "base": str(folder / "base"),
                   "experts": [str(folder / f"expert{i + 1}") for i in range(EXPERTS)],
                   "parameters": {"exclude": [f"*{part}*" for part in OTHERS]}}
        (work / "spectral.json").write_text(json.dumps(request))
        commands = {"assay": [args.program.resolve(), "merge", work / "spectral.json", "-o", outs["assay"]],
                    "torch": [sys.executable, __file__, "--work", work, "--layers", str(args.layers),
                              "--torch", method]}
        usages = {tool: [] for tool in commands}
        for _ in range(args.repeat):
            for tool, command in commands.items():
                shutil.rmtree(outs[tool], ignore_errors=True)
                os.sync()
                log = work / f"spectral-{tool}.log"
                usage = process.measure(command, log)
                usages[tool].append((usage.wall_s, usage.cpu_s) if tool == "assay"
                                    else json.loads(log.read_text().splitlines()[-1]))
        median = lambda tool, field: statistics.median(usage[field] for usage in usages[tool])
        print(f"{method}: " + ", ".join(f"{tool} {median(tool, 0):.2f} s wall, {median(tool, 1):.2f} s CPU"
                                        for tool in commands) +
              f"; relative difference {distance(folder, outs['assay'], outs['torch']):.1e}", flush=True)


if __name__ == "__main__":
    main()
