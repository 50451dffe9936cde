"""Checks that includes between the rooms only point where docs/architecture.md allows them to."""

import pathlib
import re
import subprocess
import sys

# What the files of each room may include, besides their own.
ALLOWED = {
    "harness/core": "",
    "harness/checkpoint": "core",
    "harness/kernels": "core",
    "harness/cost": "core",
    "harness/method": "checkpoint core",
    "harness/tokenizer": "core",
    "harness/model": "tokenizer method checkpoint core",
    "harness/lm": "model tokenizer checkpoint core",
    "harness/task": "lm model tokenizer checkpoint core",
    "harness/merge": "cost kernels method checkpoint core",
    "harness/train": "task model cost checkpoint core",
    "harness/sweep": "merge train task lm cost model tokenizer method checkpoint core results",
    "harness/cli": "sweep merge train task lm cost model tokenizer method checkpoint core results reports",
    "methods": "method kernels checkpoint core",
    "tasks": "task lm model tokenizer core",
    "datasets": "task core",
    "results": "core",
    "reports": "results core",
}


def room_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "harness" else parts[0]


def main() -> None:
    listed = ["git", "ls-files", "-co", "--exclude-standard", "*.cpp", "*.h", "*.cu", "*.cuh"]
    wrong = 0
    for path in subprocess.check_output(listed, text=True).split():
        allowed = ALLOWED.get(room_of(path))
        if allowed is None or not pathlib.Path(path).exists():
            continue
        targets = {room_of(path)} | {t if t in ALLOWED else f"harness/{t}" for t in allowed.split()}
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            include = re.match(r'#include "([^"]+/[^"]+)"', line)
            if include and room_of(include.group(1)) not in targets:
                print(f"{path}:{number}: {room_of(path)} may not include {include.group(1)}")
                wrong += 1
    if wrong:
        sys.exit(f"{wrong} includes against the arrows of docs/architecture.md")


main()
