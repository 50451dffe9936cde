"""Writes tests/golden/models/clip: a tiny random CLIP with its tokenizer, and what transformers makes of both.

usage: ENV/bin/python scripts/peers/clip_goldens.py [FOLDER]      (ENV holds torch, transformers and tokenizers)

The tokenizer is trained here on a few words in CLIP's form (lower case, words that end in </w>), so that its stages are those of the
published one. expected.json has token ids of texts, the texts' features, a zero-shot head of two templates and the scores of two
images by it.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "tests/golden/models/clip")
WORDS = "a photo of the number zero one two three four five six seven eight nine a blurry picture of a cat's 0 1 2 3 dogs!"
TEXTS = ["a photo of the number three.", "A  Photo\tof ZERO", "cat's 31 dogs!?", "na\u00efve caf\u00e9 \u2014 \u00fcber", "", "it's we'll I'VE 12 \u4e2d\u6587"]
NAMES = ["zero", "one", "two dogs"]
TEMPLATES = ["a photo of the number {}.", "a blurry {}: {}"]


def tokenizer(folder):
    """CLIP's stages: see CLIPTokenizer of transformers."""
    words = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"))
    words.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator([WORDS] * 2, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False))
    model = json.loads(words.to_str())["model"]
    tokens = sorted(alphabet)
    tokens += [token + "</w>" for token in tokens]
    tokens += ["".join(pair) for pair in model["merges"]] + ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    made = CLIPTokenizer(vocab=vocab, merges=[tuple(pair) for pair in model["merges"]], model_max_length=24)
    made.save_pretrained(folder)
    return made, len(vocab)


def numbers(tensor):
    return [[float(f"{x:.8g}") for x in row] for row in tensor.tolist()]


def main():
    torch.manual_seed(3)
    OUT.mkdir(parents=True, exist_ok=True)
    texts, size = tokenizer(OUT)
    shared = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = CLIPConfig(
        text_config=shared | {"vocab_size": size, "max_position_embeddings": 24, "bos_token_id": size - 2, "eos_token_id": size - 1,
                              "pad_token_id": size - 1},
        vision_config=shared | {"image_size": 12, "patch_size": 4}, projection_dim=6)
    model = CLIPModel._from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            if tensor.is_floating_point() and tensor.dim() > 0:
                tensor.add_(torch.randn_like(tensor) * 0.2)
        model.logit_scale.fill_(3.5)
    model.save_pretrained(OUT)

    def features(lines):
        batch = texts(lines, padding=True, truncation=True, return_tensors="pt")
        text = model.text_model(**batch)
        return model.text_projection(text.pooler_output)

    def unit(rows):
        return rows / rows.norm(dim=-1, keepdim=True)

    with torch.no_grad():
        head = torch.stack([unit(unit(features([t.replace("{}", name) for t in TEMPLATES])).mean(0)) for name in NAMES])
        images = torch.sin(torch.arange(2 * 3 * 12 * 12, dtype=torch.float64) * 0.37).float().view(2, 3, 12, 12)
        image = model.visual_projection(model.vision_model(images).pooler_output)
        scores = model.logit_scale.exp() * unit(image) @ head.T
        # The library's own product of image and text features, for one template.
        one = texts([TEMPLATES[0].replace("{}", name) for name in NAMES], padding=True, return_tensors="pt")
        own = model(pixel_values=images, **one).logits_per_image
        expected = {"texts": TEXTS, "ids": [texts(text)["input_ids"] for text in TEXTS], "features": numbers(features(TEXTS)),
                    "class_names": NAMES, "templates": TEMPLATES, "head": numbers(head), "scores": numbers(scores),
                    "scores_of_first_template": numbers(own)}
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
