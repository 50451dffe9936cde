#!/usr/bin/env python3
"""Times whole merges: mergekit's program, Assay's and a bare copy of the same bytes.

  make bench            (installs mergekit, makes the checkpoints, writes docs/performance.md)
  ENV/bin/python scripts/bench/merges.py --size 1b --only linear,ties --repeat 3

Every round runs all of them once, in turn, so that a slow spell of the machine touches all; the table
gives medians. A first, untimed reading of the inputs warms the page cache. Wall time is that of the whole
process; CPU is user + system; memory is the peak resident set. Of Assay's, "own" is the peak of memory that
is not pages of the mapped inputs.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
from importlib.metadata import version

import yaml

import process

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/peers"))
import table  # noqa: E402

BAR = {"linear": (5, 1.3), "slerp": (5, None), "task_arithmetic": (5, 1.3), "ties": (20, 2), "dare_ties": (8, 2)}


def configurations(folder):
    """One merge per method over a base and three experts; SLERP takes two models."""
    def models(parameters, count=3):
        return [{"model": str(folder / f"expert{i + 1}"), "parameters": parameters} for i in range(count)]

    def task_vectors(method, **parameters):
        return {"merge_method": method, "base_model": str(folder / "base"), "models": models(parameters),
                "dtype": "bfloat16"}

    return {
        "linear": {"merge_method": "linear", "dtype": "bfloat16",
                   "models": [{"model": str(folder / "base"), "parameters": {"weight": 0.25}},
                              *models({"weight": 0.25})]},
        "slerp": {"merge_method": "slerp", "base_model": str(folder / "expert1"), "dtype": "bfloat16",
                  "models": [{"model": str(folder / f"expert{i}")} for i in (1, 2)], "parameters": {"t": 0.4}},
        "task_arithmetic": task_vectors("task_arithmetic", weight=0.4),
        "ties": task_vectors("ties", weight=1.0, density=0.2),
        "dare_ties": task_vectors("dare_ties", weight=0.5, density=0.3),
    }


def inputs_of(config):
    folders = {model["model"] for model in config["models"]} | ({config.get("base_model")} - {None})
    return sorted(file for folder in folders for file in pathlib.Path(folder).glob("*.safetensors"))


def copy_command(config, out):
    """Reads all inputs, writes and syncs as many bytes as the output has (those of the first input)."""
    files = [str(file) for file in inputs_of(config)]
    first = [f for f in files if f.startswith(config["models"][0]["model"] + "/")]
    script = 'n=$1; shift; out=$1; shift; cat "${@:n+1}" >/dev/null; cat "${@:1:n}" >"$out"; sync "$out"'
    rest = [f for f in files if f not in first]
    return ["bash", "-c", script, "copy", str(len(first)), str(out), *first, *rest]


class Runner:
    def __init__(self, args):
        self.program, self.work = args.program.resolve(), args.work.resolve()
        self.mergekit = pathlib.Path(sys.executable).parent / "mergekit-yaml"
        self.out = self.work / "merged"

    def clear(self):
        if self.out.is_dir():
            shutil.rmtree(self.out)
        self.out.unlink(missing_ok=True)

    def run(self, tool, config):
        self.clear()
        file = self.work / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = {"copy": lambda: copy_command(config, self.out),
                   "assay": lambda: [self.program, "merge", file, "-o", self.out],
                   "mergekit": lambda: [self.mergekit, file, self.out, "--no-copy-tokenizer", "--quiet"]}[tool]()
        os.sync()  # what the run before left to be written is not this one's
        usage = process.measure(command, self.work / f"{tool}.log")
        if tool != "copy" and not list(self.out.glob("*.safetensors")):
            raise SystemExit(f"{tool} wrote no weights: see {self.work / f'{tool}.log'}")
        return usage


def warm(config):
    for file in inputs_of(config):
        with open(file, "rb", buffering=0) as stream:
            while stream.read(1 << 24):
                pass


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def row(name, runs):
    """The table's row of one merge: name, then what every tool took, then the ratios."""
    def show(tool, own=False):
        if tool not in runs:
            return "-"
        usage = runs[tool]
        memory = f"{median(usage, 'peak_bytes') / 1e9:.2f}"
        if own:
            memory += f" ({median(usage, 'own_bytes') / 1e9:.2f})"
        return f"{median(usage, 'wall_s'):.1f} / {median(usage, 'cpu_s'):.1f} / {memory}"

    wall = {tool: median(usage, "wall_s") for tool, usage in runs.items()}
    ratio = lambda a, b: f"{wall[a] / wall[b]:.1f}" if a in wall and b in wall else "-"
    faster, slower = ratio("mergekit", "assay"), "-"
    if "assay" in wall and "copy" in wall:
        slower = f"{wall['assay'] / wall['copy']:.2f}"
    bar = BAR[name]
    return [name, show("copy"), show("assay", own=True), show("mergekit"),
            f"{faster} ({bar[0]})", f"{slower} ({bar[1]})" if bar[1] else slower]


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, Linux {platform.release()}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/assay")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/bench")
    parser.add_argument("--checkpoints", type=pathlib.Path, help="a folder with base, expert1, ...; else made")
    parser.add_argument("--size", default="1b", choices=["10m", "100m", "1b"])
    parser.add_argument("--layers", type=int, help="another depth than the size's own")
    parser.add_argument("--only", default=",".join(BAR), help="methods, with commas")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--skip-mergekit", action="store_true")
    parser.add_argument("--skip-assay", action="store_true")
    parser.add_argument("--write", type=pathlib.Path, help="the document whose table is replaced")
    return parser.parse_args()


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    folder = args.checkpoints
    if not folder:
        folder = args.work / f"{args.size}{f'-{args.layers}' if args.layers else ''}"
        command = [sys.executable, ROOT / "scripts/bench/make_checkpoints.py", folder, "--size", args.size]
        subprocess.run(command + (["--layers", str(args.layers)] if args.layers else []), check=True)
    skipped = {"assay": args.skip_assay, "mergekit": args.skip_mergekit}
    tools = [tool for tool in ("copy", "assay", "mergekit") if not skipped.get(tool)]

    runner, rows, raw = Runner(args), [], {}
    for name in args.only.split(","):
        config = configurations(folder.resolve())[name]
        warm(config)
        runs = {tool: [] for tool in tools}
        for _ in range(args.repeat):
            for tool in tools:
                runs[tool].append(runner.run(tool, config))
                print(f"{name} {tool}: {runs[tool][-1]}", flush=True)
        rows.append(row(name, runs))
        raw[name] = {tool: [vars(run) for run in usage] for tool, usage in runs.items()}
    runner.clear()

    header = ["merge", "copy", "Assay", "mergekit", "times faster than mergekit (bar)", "times a copy (bar)"]
    size = args.size + (f" with {args.layers} layers" if args.layers else "")
    text = (f"{machine()}; {datetime.date.today()}; checkpoints: {size}, base and three experts, bfloat16; "
            f"mergekit {version('mergekit')}, torch {version('torch')}; medians of {args.repeat}.\n\n"
            "Seconds of wall time / seconds of CPU / peak GB resident (of Assay's, in brackets: without mapped inputs).\n\n"
            + table.markdown(header, rows))
    (args.work / "merges.json").write_text(json.dumps(raw, indent=1) + "\n")
    if args.write:
        table.replace_block(args.write, "merges", text)
    print(text)


if __name__ == "__main__":
    main()
