#!/usr/bin/env python3
"""Writes tests/golden/tokenizer: small tokenizers, trained here, and the reference libraries' results.

  ENV/bin/python scripts/peers/tokenizer_goldens.py      (needs tokenizers and sentencepiece)

texts.json contains the texts. Each tokenizer's folder has the model's files and lines.json: for every text the ids with
special tokens, and their decoded text without special tokens, or null where that equals the text.
Some also have pairs.json: the indices of two texts, the maximum tokens, and the ids and token types of the pair.
"""
import json
import pathlib
import random
import re
import shutil
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import tokenizer_texts

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/tokenizer"
TEXTS = (tokenizer_texts.SENTENCES[:8] + tokenizer_texts.CODE) * 4 + tokenizer_texts.SENTENCES
FEWER_TEXTS = (tokenizer_texts.SENTENCES[:16] + tokenizer_texts.CODE) * 4
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")


def lines():
    """Every sentence, piece of code and white space once, and some mixtures."""
    every = ["", " ", "a", " a", "a "] + tokenizer_texts.SPACES + tokenizer_texts.SPECIAL
    every += [s[:60] for s in tokenizer_texts.SENTENCES] + tokenizer_texts.CODE
    mixtures = tokenizer_texts.lines(1000, seed=4)[len(every) + 10:]
    return every + random.Random(5).sample([m for m in mixtures if len(m) < 60], 25)


def trained(it, trainer):
    it.train_from_iterator(TEXTS, trainer)
    return it


def byte_level():
    """GPT-2's kind, with a special token and one that takes in the space before it."""
    it = Tokenizer(models.BPE())
    it.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    it.decoder = decoders.ByteLevel()
    it.post_processor = processors.ByteLevel(trim_offsets=False)
    trained(it, trainers.BpeTrainer(vocab_size=420, show_progress=False, special_tokens=["<|endoftext|>"],
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    it.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return it


def llama3():
    """Whole pieces of the vocabulary first; words by a pattern; BOS by a template."""
    it = Tokenizer(models.BPE(ignore_merges=True))
    it.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CL100K), "isolated"),
                                                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    it.decoder = decoders.ByteLevel()
    trained(it, trainers.BpeTrainer(vocab_size=420, show_progress=False, special_tokens=["<s>", "</s>"],
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    it.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return it


def llama2():
    """Spaces are signs, and what is unknown is spelt in bytes."""
    it = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    it.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    it.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                    decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    it.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")  # for training only
    trained(it, trainers.BpeTrainer(vocab_size=500, show_progress=False, special_tokens=special, limit_alphabet=120))
    state = json.loads(it.to_str())
    state["pre_tokenizer"] = None
    state["added_tokens"] = state["added_tokens"][:3]
    it = Tokenizer.from_str(json.dumps(state))
    it.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return it


def bert():
    it = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    it.normalizer = normalizers.BertNormalizer(lowercase=True)
    it.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    it.decoder = decoders.WordPiece()
    trained(it, trainers.WordPieceTrainer(vocab_size=500, show_progress=False, limit_alphabet=200,
                                          special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    it.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return it


def roberta():
    it = Tokenizer(models.BPE(unk_token="<unk>"))
    it.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    it.decoder = decoders.ByteLevel()
    trained(it, trainers.BpeTrainer(vocab_size=400, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                    special_tokens=["<s>", "<pad>", "</s>", "<unk>"]))
    it.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    it.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return it


def clip():
    """Words end in a sign of their own; unknown characters are one token each."""
    it = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    it.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    it.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"), pre_tokenizers.Digits(True)])
    it.decoder = decoders.BPEDecoder()
    return trained(it, trainers.BpeTrainer(vocab_size=500, show_progress=False, limit_alphabet=80, end_of_word_suffix="</w>",
                                           special_tokens=["<unk>", "<s>"]))


def train_pieces(folder, kind, **more):
    with tempfile.TemporaryDirectory() as temporary:
        text = pathlib.Path(temporary) / "text"
        text.write_text("\n".join(t.replace("\n", " ").replace("\0", "") for t in FEWER_TEXTS))
        rules = pathlib.Path(temporary) / "rules"  # small, as the usual ones take 240 kB
        rules.write_text("FB01\t66 69\nBD\t31 2044 32\n9\t20\nA0\t20\n3000\t20\n65 301\tE9\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{temporary}/m", vocab_size=600, model_type=kind, character_coverage=0.98,
            normalization_rule_tsv=str(rules), minloglevel=2, num_threads=1, **more)
        return shutil.copy(f"{temporary}/m.model", folder)


def unigram_json(model):
    """As T5's tokenizer.json is made of its SentencePiece model."""
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto.FromString(pathlib.Path(model).read_bytes())
    it = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 2, False))
    it.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                          normalizers.Replace(Regex(" {2,}"), " ")])
    it.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    it.decoder = decoders.Metaspace(prepend_scheme="first")
    it.add_special_tokens(["<pad>", "</s>", "<unk>"])
    it.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return it


def save(file, rows):
    file.write_text("[\n" + ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]\n")


def write(folder, encode, decode):
    rows = []
    for text in lines():
        ids = encode(text)
        decoded = decode(ids)
        rows.append([ids, None if decoded == text else decoded])
    save(folder / "lines.json", rows)


def write_json(name, it):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(it.to_str()), separators=(",", ":")) + "\n")
    write(folder, lambda text: it.encode(text).ids, it.decode)


def write_pairs(name, it):
    rows = []
    texts = lines()
    for first, second in random.Random(6).sample([(a, b) for a in range(len(texts)) for b in range(len(texts))], 30):
        for most in (512, 16, 9):
            it.enable_truncation(most, strategy="longest_first")
            both = it.encode(texts[first], texts[second])
            rows.append([first, second, most, both.ids, both.type_ids])
    it.no_truncation()
    save(OUT / name / "pairs.json", rows)


def write_pieces(folder, model, bos, eos):
    """The library spells special tokens out; here they are found first, as transformers does."""
    it = sentencepiece.SentencePieceProcessor(model_file=str(model))
    special = {it.id_to_piece(i): i for i in range(it.get_piece_size()) if it.is_control(i) or it.is_unknown(i)}
    places = re.compile("(" + "|".join(map(re.escape, special)) + ")")

    def encode(text):
        ids = []
        for part in places.split(text):
            ids += [special[part]] if part in special else it.encode(part)
        return [it.bos_id()] * bos + ids + [it.eos_id()] * eos

    write(folder, encode, it.decode)


def main():
    for folder in OUT.glob("*/"):
        shutil.rmtree(folder)
    OUT.mkdir(parents=True, exist_ok=True)
    save(OUT / "texts.json", lines())
    for make in (byte_level, llama3, llama2, bert, roberta, clip):
        it = make()
        write_json(make.__name__, it)
        if make in (llama3, bert, roberta):
            write_pairs(make.__name__, it)
    for name in ("pieces_unigram", "pieces_bpe"):
        (OUT / name).mkdir(parents=True)
    model = train_pieces(OUT / "pieces_unigram/spiece.model", "unigram", hard_vocab_limit=False, pad_id=0, eos_id=1,
                         unk_id=2, bos_id=-1)
    write_pieces(OUT / "pieces_unigram", model, bos=False, eos=True)
    write_json("unigram", unigram_json(model))
    model = train_pieces(OUT / "pieces_bpe/tokenizer.model", "bpe", byte_fallback=True, split_digits=True,
                         remove_extra_whitespaces=False, user_defined_symbols=["<user>"])
    write_pieces(OUT / "pieces_bpe", model, bos=True, eos=False)


main()
