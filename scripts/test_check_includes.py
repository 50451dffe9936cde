"""Checks scripts/check_includes.py on small trees: what it finds, where, and what it leaves alone."""

import pathlib
import tempfile
import unittest

from check_includes import problems


def found(files: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return problems(root, sorted(files))


class CheckIncludes(unittest.TestCase):
    def test_arrows(self) -> None:
        self.assertEqual(found({"harness/sweep/a.cpp": '#include "harness/core/json.h"\n'}), [])
        self.assertEqual(
            found({"harness/core/a.cpp": '#include <string>\n\n#include "harness/sweep/plan.h"\n'}),
            ["harness/core/a.cpp:3: harness/core may not include harness/sweep/plan.h"],
        )
        self.assertEqual(
            found({"methods/dense/a.cpp": '#  include "harness/merge/merge.h"\n'}),
            ["methods/dense/a.cpp:1: methods may not include harness/merge/merge.h"],
        )
        self.assertEqual(
            found({"harness/core/a.h": '#include "tests/catch.h"\n'}),
            ["harness/core/a.h:1: harness/core may not include tests/catch.h"],
        )

    def test_internal_folders(self) -> None:
        header = '#include "harness/merge/engine/plan.h"\n'
        self.assertEqual(found({"harness/merge/request/a.cpp": header, "tests/merge/a.cpp": header}), [])
        self.assertEqual(
            found({"harness/sweep/a.cpp": header}),
            ["harness/sweep/a.cpp:1: harness/merge/engine/plan.h is internal to harness/merge"],
        )
        self.assertEqual(
            found({"harness/cli/a.cpp": '#include "reports/internal/tables.h"\n'}),
            ["harness/cli/a.cpp:1: reports/internal/tables.h is internal to reports"],
        )

    def test_open_modules(self) -> None:
        self.assertEqual(found({"methods/a.cpp": '#include "harness/kernels/sums/weighted_sum.h"\n'}), [])
        header = "harness/kernels/task_vector/avx512/vectors.h"
        self.assertEqual(
            found({"methods/a.cpp": f'#include "{header}"\n'}), [f"methods/a.cpp:1: {header} is internal to harness/kernels"]
        )


if __name__ == "__main__":
    unittest.main()
