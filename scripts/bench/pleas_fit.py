#!/usr/bin/env python3
"""Times the fits of PLeaS: ridge regression in closed form against Adam, and what errors they leave.

  python3 scripts/bench/pleas_fit.py PROGRAM --models A B --work FOLDER [--task digits/mnist-012] [--ratio 0] [--rounds 3]

PROGRAM is build/assay; A and B are folders of two models of digits, as recipes/digits-seeds.json makes them. A merge
without a fit is what all share but the passes that add up Gram matrices; one step of Adam is those and next to nothing
else, so that what a solver takes is the difference from it. Error: the mean over layers of the squared error per
output, as a share of the outputs' mean square.
"""
import argparse
import json
import pathlib
import statistics

from process import measure


def merge(options, work, parameters):
    """Seconds and the error that is left, of one merge."""
    request = work / "pleas.json"
    tasks = {str(model): [options.task] for model in options.models}
    request.write_text(json.dumps({
        "method": "pleas", "parameters": dict(parameters, ratio=options.ratio),
        "experts": [str(model) for model in options.models], "calibration": {"tasks": tasks, "examples": 128}}))
    log = work / "pleas.log"
    usage = measure([options.program, "-q", "merge", request, "-o", work / "pleas", "--replace", "--json"], log)
    diagnostics = json.loads(log.read_text())["diagnostics"]
    return usage.cpu_s, diagnostics.get("error_after_fit")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--models", type=pathlib.Path, nargs=2, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--task", default="digits/mnist-012")
    parser.add_argument("--ratio", type=float, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.program = options.program.resolve()
    options.models = [model.resolve() for model in options.models]
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    sums = "sums, 1 step of Adam"
    variants = {"no fit": {"fit": "none"}, sums: {"fit": "adam", "steps": 1}, "closed form": {}, "Adam, 400 steps": {"fit": "adam"}}
    seconds, errors = {name: [] for name in variants}, {}
    for _ in range(options.rounds):  # in turn: the machine's speed drifts
        for name, parameters in variants.items():
            took, errors[name] = merge(options, work, parameters)
            seconds[name].append(took)
    for name in variants:
        error = "" if errors[name] is None else f", error {errors[name]:.3g}"
        print(f"{name:20} {statistics.median(seconds[name]):7.2f} s of CPU{error}")
    for name in ("closed form", "Adam, 400 steps"):  # of one round each: neighbours in time
        alone = statistics.median(own - shared for own, shared in zip(seconds[name], seconds[sums]))
        print(f"{name:20} {alone:7.3f} s of CPU beyond the sums")


if __name__ == "__main__":
    main()
