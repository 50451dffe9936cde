"""Writes tests/golden/parquet: a small Parquet file and the same rows as JSON lines.

usage: ENV/bin/python scripts/peers/parquet_goldens.py [OUT]      (ENV holds pyarrow)
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/parquet")
ROWS = [
    {"question": "1 + 1 =", "choices": ["2", "3"], "label": 0, "meta": {"id": 7, "score": 0.5}, "good": True, "kind": "sum"},
    {"question": "Größe?", "choices": [], "label": None, "meta": {"id": -1, "score": 1.25}, "good": False, "kind": "word"},
    {"question": "", "choices": ["a", "b", "c"], "label": 9007199254740993, "meta": {"id": 3, "score": None}, "good": True, "kind": "sum"},
]
SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("label", pa.int64()),
        ("meta", pa.struct([("id", pa.int32()), ("score", pa.float64())])),
        ("good", pa.bool_()),
        ("kind", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(ROWS, SCHEMA)
    # Two row groups, so that a column has several chunks.
    pq.write_table(table, OUT / "rows.parquet", row_group_size=2, compression="zstd", write_statistics=False)
    pq.write_table(pa.table({"day": pa.array([0], pa.date32())}), OUT / "date.parquet", write_statistics=False)
    (OUT / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS))


if __name__ == "__main__":
    main()
