#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/classes.json: ids of transformers' tokenizer classes for combinations of flags and files.

  ENV/bin/python scripts/peers/tokenizer_classes.py      (needs transformers 5, sentencepiece and protobuf)

The tokenizers are generated here. "files" contains each file's content once, by a name chosen here; a row has the names of a
folder's files, the ids of BOS, EOS, padding and unknown (null where there is none), and for every text of "texts" the ids with
and without special tokens. A SentencePiece model is written in hexadecimal digits.
"""
import json
import os
import pathlib
import struct
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402  (it reads the environment)

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/tokenizer/classes.json"
TEXTS = ["ab", " ab", "<s>ab</s>cd", "a <mask> b", "<s> ab", "a<|endoftext|>b", "a  b ", "Ab", ""]
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<mask>", "<|endoftext|>", "<|padding|>", "<bos>", "<eos>", "<BOS_TOKEN>",
           "<|END_OF_TURN_TOKEN|>", "<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>"]
FLAGS = [{}, {"add_bos_token": True, "add_eos_token": True}, {"add_bos_token": False}, {"add_eos_token": True},
         {"add_prefix_space": True}, {"add_prefix_space": False}]
NAMES = [{}, {"bos_token": "<s>", "eos_token": "</s>"}, {"bos_token": None, "eos_token": "<pad>"}]


def added(token, token_id, **more):
    return {"id": token_id, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **more}


def template(bos, token_id):
    first = [{"SpecialToken": {"id": "<s>", "type_id": 0}}] if bos else []
    one, two = ({"Sequence": {"id": text, "type_id": i}} for i, text in enumerate("AB"))
    return {"type": "TemplateProcessing", "single": first + [one], "pair": first + [one, two],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [token_id], "tokens": ["<s>"]}} if bos else {}}


def tokenizer(vocab, merges, specials, **stages):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(s, vocab[s]) for s in specials],
            "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": merges}, **stages}


def byte_level(bos=False, prefix=False):
    """The letters of TEXTS; only some of the special tokens are known to be special."""
    vocab = {token: i for i, token in enumerate(SPECIAL + sorted("abcdA<>/|_smkenoftxi") + ["\u0120", "\u0120a"])}
    stage = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}
    return tokenizer(vocab, ["\u0120 a"], ["<s>", "</s>", "<mask>"], pre_tokenizer=stage, decoder=stage,
                     post_processor=template(bos, vocab["<s>"]))


def llama(bos=True):
    """Llama 2's kind: spaces are signs."""
    vocab = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] +
                                                ["\u2581", *"abcd", "\u2581a", "\u2581\u2581"])}
    sign = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    it = tokenizer(vocab, ["\u2581 a", "\u2581 \u2581"], ["<unk>", "<s>", "</s>"], post_processor=template(bos, 1),
                   normalizer={"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, sign]},
                   decoder={"type": "Fuse"})
    it["model"].update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    return it


def bert():
    vocab = {t: i for i, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", "Ab", "a", "b", "<", ">"])}
    it = tokenizer(vocab, [], list(vocab)[:5], pre_tokenizer={"type": "BertPreTokenizer"},
                   normalizer={"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                               "strip_accents": None, "lowercase": True},
                   post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})
    it["model"] = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": vocab}
    return it


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(key, value):
    if isinstance(value, bytes):
        return varint(key << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(key << 3 | 5) + struct.pack("<f", value)
    return varint(key << 3) + varint(value)


def pieces():
    """A SentencePiece BPE model with one control piece and one piece of the user's."""
    listed = [("<unk>", 0., 2), ("<s>", 0., 3), ("</s>", 0., 3), ("<mask>", 0., 3), ("<|endoftext|>", 0., 4)]
    listed += [(f"<0x{b:02X}>", 0., 6) for b in range(256)] + [("\u2581a", -1., 1), ("\u2581\u2581", -1.5, 1), ("\u2581", -2., 1)]
    listed += [(c, -3. - i, 1) for i, c in enumerate("abcd")]
    out = b"".join(field(1, field(1, text.encode()) + field(2, score) + field(3, kind)) for text, score, kind in listed)
    trainer = field(3, 2) + field(4, len(listed)) + field(35, 1) + field(40, 0) + field(41, 1) + field(42, 2)
    return out + field(2, trainer + field(43, 2**64 - 1)) + field(3, field(1, b"identity") + field(3, 1) + field(4, 0) + field(5, 1))


def cases():
    """(files, by name) of every row."""
    def folder(content, name="tokenizer.json", model_type="llama", config=None, **more):
        files = {name: content, "config.json": {"model_type": model_type}}
        if config is not None:
            files["tokenizer_config.json"] = config
        files.update({key.replace("__", "."): value for key, value in more.items()})
        return files

    for name in ("PreTrainedTokenizerFast", "GPT2Tokenizer", "GPTNeoXTokenizerFast", "Qwen2Tokenizer", "LlamaTokenizerFast"):
        for flags in FLAGS:
            yield folder(byte_level(bos=True), config={"tokenizer_class": name, **NAMES[1], **flags})
        for names in NAMES:
            yield folder(byte_level(prefix=True), config={"tokenizer_class": name, **names})
    for name in ("CodeGenTokenizer", "CohereTokenizerFast", "BloomTokenizerFast", "UnheardOfTokenizer"):
        yield folder(byte_level(bos=True), config={"tokenizer_class": name, "add_prefix_space": True})
    for kind in ("gpt2", "gpt_neox", "qwen2", "qwen3", "mistral", "phi3", "opt", "llama"):
        yield folder(byte_level(), model_type=kind)
        yield folder(byte_level(), model_type=kind, config={"model_max_length": 1024})
        yield folder(byte_level(), model_type=kind, config={"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True})
        yield folder(byte_level(prefix=True), model_type=kind, config={"tokenizer_class": "GPT2TokenizerFast"})
    for kind in ("llama", "mistral"):
        for name in ("PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast"):
            for flags in FLAGS + [{"legacy": True}, {"legacy": False}]:
                yield folder(llama(), model_type=kind, config={"tokenizer_class": name, **flags})
                if name != "LlamaTokenizerFast":
                    yield folder(pieces(), "tokenizer.model", kind, {"tokenizer_class": name, **flags})
        yield folder(llama(bos=False), model_type=kind, config={"tokenizer_class": "LlamaTokenizer", "add_bos_token": True})
    for flags in ({}, {"do_lower_case": True}):
        yield folder(bert(), model_type="bert", config={"tokenizer_class": "BertTokenizer", "do_lower_case": True, **flags})
    yield folder(bert(), model_type="bert", config={"tokenizer_class": "BertTokenizer", "do_lower_case": False})

    # Where the files contradict each other.
    plain = {"tokenizer_class": "PreTrainedTokenizerFast"}
    number = SPECIAL.index
    for more in ({"lstrip": True}, {"rstrip": True}, {"special": False}, {"single_word": True}):
        token = added("<mask>", number("<mask>"), **more)
        yield folder(byte_level(), config={**plain, "added_tokens_decoder": {str(token.pop("id")): token}})
    yield folder(byte_level(), config={**plain, **NAMES[1]}, special_tokens_map__json={"bos_token": "<|endoftext|>"})
    yield folder(byte_level(), config={**plain, **NAMES[1], "added_tokens_decoder": {}},
                 special_tokens_map__json={"bos_token": "<|endoftext|>"})
    yield folder(byte_level(), config=plain, special_tokens_map__json={
        "eos_token": {"content": "<|endoftext|>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}})
    for key in ("additional_special_tokens", "extra_special_tokens"):
        yield folder(byte_level(), config={**plain, key: ["<|endoftext|>"]})
    yield folder(byte_level(), config={**plain, "image_token": "<|endoftext|>"})


def row_of(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = pathlib.Path(folder) / name
            path.write_bytes(content) if isinstance(content, bytes) else path.write_text(json.dumps(content))
        it = transformers.AutoTokenizer.from_pretrained(folder)
        named = [it.bos_token_id, it.eos_token_id, it.pad_token_id, it.unk_token_id]
        return named, [[it(t)["input_ids"], it(t, add_special_tokens=False)["input_ids"]] for t in TEXTS]


def main():
    transformers.logging.set_verbosity_error()
    contents, rows = {}, []

    def name_of(content):
        text = content.hex() if isinstance(content, bytes) else json.dumps(content, separators=(",", ":"))
        return contents.setdefault(text, f"f{len(contents)}")

    for files in cases():
        named, ids = row_of(files)
        rows.append([{name: name_of(content) for name, content in files.items()}, named, ids])
    files = {name: text for text, name in contents.items()}
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    OUT.write_text(f'{{"texts":{json.dumps(TEXTS)},\n"files":{json.dumps(files, separators=(",", ":"))},\n"rows":[\n{lines}\n]}}\n')


main()
