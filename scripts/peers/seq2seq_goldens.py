#!/usr/bin/env python3
"""Writes tests/golden/seq2seq: a tiny random T5 with a tokenizer trained here, and lm-evaluation-harness's results.

usage: ENV/bin/python scripts/peers/seq2seq_goldens.py [OUT]      (ENV holds lm-eval, transformers, sentencepiece)

expected.json holds "likelihoods", rows of context, continuation, log-likelihood and whether it is the model's first
choice, and "generations", rows of context, stop strings, maximum tokens and text. The maximum is the harness's, which exceeds the requested one: it adds the length of
the context, which the decoder does not contain. The head is tied, because the harness ties every T5's head, even where
the model has a separate one.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import sentencepiece
import tokenizer_texts
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from model_cases import randomize
from tokenizer_goldens import unigram_json

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/seq2seq")
WORDS = 256
LONGEST = 24
NEW_TOKENS = 12
QUESTION = "Question: Which of these is the capital of France?\nAnswer:"
CHOICES = [" Paris", " the city of London", " Rome, which lies on the Tiber", " a"]
PAIRS = [(QUESTION, choice) for choice in CHOICES]
PAIRS += [("Short:", choice) for choice in CHOICES]
PAIRS += [("", "an answer to nothing"), ("white space at the end  ", "goes on"), ("two\nlines\n", "of text"), ("  ", "blank")]
PROMPTS = [(QUESTION, []), ("Short:", []), ("", []), ("Write a list of numbers: 1, 2, 3", [])]


def write_tokenizer(folder):
    with tempfile.TemporaryDirectory() as temporary:
        text = Path(temporary) / "text"
        texts = tokenizer_texts.SENTENCES[:16] + [context + continuation for context, continuation in PAIRS]
        text.write_text("\n".join(t.replace("\n", " ").replace("\0", "") for t in texts * 4))
        rules = Path(temporary) / "rules"  # small, as the usual ones take 240 kB
        rules.write_text("9\t20\nA\t20\nA0\t20\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{temporary}/m", vocab_size=WORDS, model_type="unigram", minloglevel=2,
            num_threads=1, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=0.98, normalization_rule_tsv=str(rules))
        tokenizer = unigram_json(f"{temporary}/m.model")
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), separators=(",", ":")) + "\n")
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names) + "\n")


def write_model(folder):
    config = transformers.T5Config(
        vocab_size=WORDS, d_model=16, d_ff=16, d_kv=4, num_heads=2, num_layers=2, relative_attention_num_buckets=8,
        relative_attention_max_distance=12, decoder_start_token_id=0, feed_forward_proj="gated-gelu", n_positions=LONGEST)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    randomize(model, 21)
    with torch.no_grad():
        for name, weight in model.named_parameters():  # so that what was read matters more than the last token
            if name.endswith((".o.weight", ".wo.weight")):
                weight.mul_(6)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


def instances(kind, arguments):
    return [Instance(request_type=kind, doc={}, arguments=a, idx=0) for a in arguments]


def generated(model, context, stop):
    text = model.generate_until(instances("generate_until", [(context, {"until": stop, "max_gen_toks": NEW_TOKENS})]))[0]
    ids = model.tok_encode(context)[-LONGEST:]
    return [context, stop, len(ids) + NEW_TOKENS - 1, text]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_tokenizer(OUT)
    write_model(OUT)
    model = HFLM(pretrained=str(OUT), backend="seq2seq", device="cpu", dtype="float32", batch_size=4)
    scores = model.loglikelihood(instances("loglikelihood", PAIRS))
    free = [generated(model, *prompt) for prompt in PROMPTS]
    stop = free[0][3][6:9]
    expected = {
        "likelihoods": [[*pair, round(score, 6), greedy] for pair, (score, greedy) in zip(PAIRS, scores)],
        "generations": free + [generated(model, PROMPTS[0][0], [stop])],
    }
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
