#!/usr/bin/env python3
"""Merges the same configurations with mergekit and with Assay and compares what they write.

  make peers            (installs mergekit, makes the checkpoints, writes docs/parity.md)
  ENV/bin/python scripts/peers/parity.py --program build/assay --work out/peers --sizes 10m,100m

Exit status 1 when a row misses its bar: 99.99 % of all entries within 1 unit in the last place for the
deterministic methods; for the random ones see dare.py.

mergekit runs on one thread: torch splits the sums of SLERP's angle and of `rescale` among its threads, so
that only with one is their order, and with it the last bits of a float32 result, defined.
"""
import argparse
import hashlib
import json
import logging
import pathlib
import platform
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import version

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

import cases
import compare
import dare
import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAR = 0.9999
# column -> (dtype of the checkpoints, keys of the configuration)
VARIANTS = {
    "float32": ("float32", {"dtype": "float32"}),
    "bfloat16": ("bfloat16", {"dtype": "bfloat16"}),
    "float32 to bfloat16": ("bfloat16", {"dtype": "float32", "out_dtype": "bfloat16"}),
}


class Merges:
    """Runs merges below a folder. mergekit's are kept: they only change with its version."""

    def __init__(self, program, work):
        self.program, self.work = program, work

    def checkpoints(self, size, dtype):
        folder = self.work / "checkpoints" / f"{size}-{dtype}"
        subprocess.run([sys.executable, ROOT / "scripts/bench/make_checkpoints.py", folder,
                        "--size", size, "--dtype", dtype], check=True)
        return folder

    def mergekit(self, config, seed=0, threads=1):
        text = yaml.safe_dump(config)
        key = f"{version('mergekit')} {torch.__version__} {threads} {seed} {text}"
        key = hashlib.sha256(key.encode()).hexdigest()[:16]
        out = self.work / "mergekit" / key
        if not out.exists():
            unfinished = out.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            torch.set_num_threads(threads)
            run_merge(MergeConfiguration.model_validate(yaml.safe_load(text)), str(unfinished),
                      MergeOptions(random_seed=seed, copy_tokenizer=False, quiet=True))
            unfinished.rename(out)
        return out

    def assay(self, config, seed=0, name="assay"):
        self.work.mkdir(parents=True, exist_ok=True)
        file, out = self.work / "config.yaml", self.work / name
        file.write_text(yaml.safe_dump(config))
        shutil.rmtree(out, ignore_errors=True)
        run = subprocess.run([self.program, "merge", file, "-o", out, "--seed", str(seed)],
                             capture_output=True, text=True)
        if run.returncode != 0:
            raise ValueError((run.stderr.strip().splitlines() or ["no message"])[-1])
        return out


def threshold_ties(config, name, tensors):
    """Entries whose magnitude equals the trim threshold of an expert's task vector: mergekit's sort
    is not stable, so its definition does not say which of them are kept."""
    base = tensors["base"][name]()
    dtype = getattr(torch, config["dtype"])
    open_entries = torch.zeros(base.shape, dtype=torch.bool)
    # A gradient or filter may choose any density between the ones named.
    for model in config["models"]:
        density = model["parameters"]["density"]
        if not isinstance(density, float):
            return torch.ones(base.shape, dtype=torch.bool)
        kept = max(1, int(density * base.numel()))
        if density >= 1:
            continue
        expert = tensors[pathlib.Path(model["model"]).name][name]()
        size = (expert.to(dtype) - base.to(dtype)).abs().float()
        threshold = size.flatten().kthvalue(base.numel() - kept + 1).values
        open_entries |= size == threshold
    return open_entries


def deterministic_row(merges, config, folder):
    explain = None
    if config["merge_method"] == "ties" and "models" in config:  # those of slices trim nothing
        tensors = {part.name: compare.open_folder(part) for part in folder.iterdir()}
        explain = lambda name: threshold_ties(config, name, tensors)
    # Of larger tensors mergekit takes quantiles from a random sample.
    most = 1_000_000 if config["merge_method"] == "arcee_fusion" else None
    return compare.compare(merges.assay(config), merges.mergekit(config), explain, most)


def mergekit_with_itself(merges):
    """mergekit on one thread and on two: merges whose sums torch splits among threads."""
    rows = {}
    for variant in ("float32", "bfloat16"):
        dtype, keys = VARIANTS[variant]
        folder = merges.checkpoints("10m", dtype)
        for name, case in cases.THREADED.items():
            config = cases.configuration(case, folder, keys)
            result = compare.compare(merges.mergekit(config), merges.mergekit(config, threads=2))
            rows.setdefault(name, {})[variant] = [result]
    return rows


def opens_in_transformers(folder):
    """A forward pass of the merged model, on the CPU."""
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        logits = model(torch.arange(1, 17)[None]).logits
    return bool(logits.isfinite().all())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/assay")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/peers")
    parser.add_argument("--sizes", default="10m,100m")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--write", type=pathlib.Path, help="the document whose tables are replaced")
    return parser.parse_args()


def main():
    args = arguments()
    warnings.filterwarnings("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    merges = Merges(args.program.resolve(), args.work.resolve())
    exact, drawn, failures = {}, {}, []

    def attempt(row, function):
        try:
            result = function()
        except ValueError as error:
            print(f"{row}: FAILED: {error}", flush=True)
            failures.append(row)
            return None
        print(f"{row}: {result}", flush=True)
        return result

    for size in args.sizes.split(","):
        for variant in args.variants.split(","):
            dtype, keys = VARIANTS[variant]
            folder = merges.checkpoints(size, dtype)
            for name, case in cases.DETERMINISTIC.items():
                if args.only not in name:
                    continue
                row = f"{name} [{size}, {variant}]"
                config = cases.configuration(case, folder, keys)
                result = attempt(row, lambda: deterministic_row(merges, config, folder))
                exact.setdefault(name, {}).setdefault(variant, []).append(result)
                if result and result.share(result.within_one) < BAR:
                    failures.append(row)
            for name, case in cases.RANDOM.items():
                if args.only not in name or "out_dtype" in keys:
                    continue
                row = f"{name} [{size}, {variant}]"
                config = cases.configuration(case, folder, keys)
                result = attempt(row, lambda: dare.row(merges, config, folder))
                drawn.setdefault(name, {}).setdefault(variant, []).append(result)
                if result and not result.passes():
                    failures.append(row)
            shutil.rmtree(merges.work / "assay", ignore_errors=True)
            if size != "10m":  # large, and not needed again
                shutil.rmtree(merges.work / "mergekit", ignore_errors=True)

    folder = merges.checkpoints("10m", "bfloat16")
    config = cases.configuration(cases.DETERMINISTIC["linear, unequal weights"], folder, {"dtype": "bfloat16"})
    if attempt("opens in transformers", lambda: opens_in_transformers(merges.assay(config))) is not True:
        failures.append("opens in transformers")

    versions = (f"mergekit {version('mergekit')}, torch {torch.__version__}, transformers "
                f"{version('transformers')}, Python {platform.python_version()}, "
                f"torch's CPU kernels: {torch.backends.cpu.get_cpu_capability()}; sizes: {args.sizes}")
    text = table.parity(versions, exact, drawn, mergekit_with_itself(merges), list(VARIANTS))
    if args.write:
        table.replace_block(args.write, "parity", text)
    print(text)
    for row in failures:
        print(f"misses its bar: {row}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
