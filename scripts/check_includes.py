"""Checks that includes between modules only point where docs/architecture.md allows them to.

* ALLOWED lists what each module may include. What is not listed there (bench/, tests/) may include everything.
* What lies in a subfolder of a module is internal: only that module, bench/ and tests/ may include it. In the
  modules of OPEN only the subfolders named in INTERNAL are.

scripts/test_check_includes.py holds this script to it.
"""

import pathlib
import re
import subprocess
import sys

# What the files of each module may include, in addition to their own.
ALLOWED = {
    "harness/core": "",
    "harness/checkpoint": "core",
    "harness/kernels": "core",
    "harness/cost": "core",
    "harness/method": "checkpoint core",
    "harness/jinja": "core",
    "harness/tokenizer": "jinja checkpoint core",
    "harness/model": "tokenizer method checkpoint core",
    "harness/lm": "model tokenizer checkpoint core",
    "harness/task": "lm model tokenizer jinja checkpoint core",
    "harness/merge": "cost kernels method tokenizer checkpoint core",
    "harness/train": "task lm model tokenizer kernels cost method checkpoint core",
    "harness/calibration": "task lm model tokenizer kernels cost method checkpoint core",
    "harness/sweep": "plugin calibration merge train task lm cost model tokenizer method checkpoint core results",
    "harness/plugin": "core",
    "harness/cli": "plugin sweep calibration merge train task lm cost model tokenizer method checkpoint core results reports",
    "methods": "method kernels checkpoint core",
    "tasks": "task lm model tokenizer core",
    "datasets": "task core",
    "results": "core",
    "reports": "results core",
}

# Modules whose subfolders group what others may include, and the subfolders of them that are internal all the same.
OPEN = {"harness/kernels"}
INTERNAL = {"internal", "avx512"}


def module_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "harness" else parts[0]


def is_internal(path: str) -> bool:
    module = module_of(path)
    folders = pathlib.PurePath(path).parent.relative_to(module).parts
    return not INTERNAL.isdisjoint(folders) if module in OPEN else bool(folders)


def problem_of(own: str, included: str) -> str | None:
    """Why a file of the module `own` may not include `included`; None when it may."""
    module = module_of(included)
    allowed = {own} | {name if name in ALLOWED else f"harness/{name}" for name in ALLOWED[own].split()}
    if module not in allowed:
        return f"{own} may not include {included}"
    if module != own and is_internal(included):
        return f"{included} is internal to {module}"
    return None


def problems(root: pathlib.Path, paths: list[str]) -> list[str]:
    """A line for each include that is not allowed, in the files `paths` below `root`."""
    found = []
    for path in paths:
        own = module_of(path)
        if own not in ALLOWED or not (root / path).exists():
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            include = re.match(r'\s*#\s*include\s*"([^"]+/[^"]+)"', line)
            problem = problem_of(own, include.group(1)) if include else None
            if problem:
                found.append(f"{path}:{number}: {problem}")
    return found


def main() -> None:
    listed = ["git", "ls-files", "-co", "--exclude-standard", "*.cpp", "*.h", "*.cu", "*.cuh"]
    found = problems(pathlib.Path(), subprocess.check_output(listed, text=True).split())
    if found:
        sys.exit("\n".join([*found, f"{len(found)} includes against the arrows of docs/architecture.md"]))


if __name__ == "__main__":
    main()
