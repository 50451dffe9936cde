"""Checks that includes between modules only point where docs/architecture.md allows them to.

What lies in a subfolder of a module is internal: only that module and its tests may include it.
"""

import pathlib
import re
import subprocess
import sys

# What the files of each module may include, besides their own.
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

# Modules whose subfolders are not internal, except for those named internal or avx512.
OPEN = {"harness/kernels"}


def is_internal(path: str) -> bool:
    folders = pathlib.PurePath(path).parent.relative_to(module_of(path)).parts
    return bool(folders) and (module_of(path) not in OPEN or {"internal", "avx512"} & set(folders) != set())


def module_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "harness" else parts[0]


def main() -> None:
    listed = ["git", "ls-files", "-co", "--exclude-standard", "*.cpp", "*.h", "*.cu", "*.cuh"]
    wrong = 0
    for path in subprocess.check_output(listed, text=True).split():
        own = module_of(path)
        allowed = ALLOWED.get(own)
        if allowed is None or not pathlib.Path(path).exists():
            continue
        targets = {own} | {t if t in ALLOWED else f"harness/{t}" for t in allowed.split()}
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            include = re.match(r'#include "([^"]+/[^"]+)"', line)
            if include is None or module_of(include.group(1)) == own:
                continue
            if module_of(include.group(1)) not in targets:
                print(f"{path}:{number}: {own} may not include {include.group(1)}")
                wrong += 1
            elif is_internal(include.group(1)):
                print(f"{path}:{number}: {include.group(1)} is internal to {module_of(include.group(1))}")
                wrong += 1
    if wrong:
        sys.exit(f"{wrong} includes against the arrows of docs/architecture.md")


main()
