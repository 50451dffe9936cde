"""Writes tests/golden/lm_eval/expected.json: what lm-evaluation-harness asks a model about the tasks of that folder.

usage: ENV/bin/python scripts/peers/lm_eval_goldens.py      (ENV holds lm-eval)

For every task the arguments of its requests in order: context and continuation, context alone where text is generated, or the text alone.
"""

import json
import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests/golden/lm_eval"
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")
os.chdir(FOLDER)

from lm_eval.tasks import TaskManager, get_task_dict  # noqa: E402


def main() -> None:
    names = sorted(path.stem for path in FOLDER.glob("[a-z]*.yaml"))
    tasks = get_task_dict(names, TaskManager(include_path=str(FOLDER), include_defaults=False))
    expected = {}
    for name in names:
        task = tasks[name]
        task.build_all_requests(rank=0, world_size=1)
        expected[name] = [[text for text in instance.args if isinstance(text, str)] for instance in task.instances]
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
