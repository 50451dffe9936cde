"""Compares training by recipe with PyTorch, transformers and PEFT: losses, weights and speed.

usage: ENV/bin/python scripts/peers/training.py PROGRAM [--steps 50] [--speed | --rounding | --golden FILE]

Both sides start from the same weights and see the same batches, every one of which holds all texts, so that their order is the same whatever
the shuffle. Compared are the losses of every step (1e-4) and the tensors after the last one (1e-3 of the tensor's largest value, without the biases of keys:
these have no gradient but rounding, which AdamW makes steps of), for decoders (all tokens; a LoRA adapter), an encoder-decoder (answers) and an encoder (classes; masked tokens, drawn again by
masked_tokens.py). The texts are of 24, 34 and 44 tokens: more than a quarter of a batch would be padding, which Assay divides by length and PyTorch does not. --speed instead trains one
small decoder on one thread on both sides and prints tokens per second. --rounding instead prints how far each side is from PyTorch in float64, where rounding
grows: T5 at a high rate, and LoRA. --golden instead writes PyTorch's losses of ten steps on masked tokens, for tests/train/test_masked_training.cpp. ENV holds torch, transformers 5, peft, safetensors and xxhash.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from masked_tokens import Rng, masked
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

TOLERANCE = 1e-4
BOS = 256
TEXTS = [f"{'abcdefghij' * (1 + i % 3)} number {i} of {8 - i}" for i in range(8)]
LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "bos_token_id": BOS,
    "eos_token_id": BOS,
}
GPT2 = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 257,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
    "bos_token_id": BOS,
    "eos_token_id": BOS,
}
T5 = {
    "model_type": "t5",
    "architectures": ["T5ForConditionalGeneration"],
    "vocab_size": 257,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "dropout_rate": 0.0,
    "decoder_start_token_id": 0,
    "pad_token_id": 0,
    "eos_token_id": BOS,
    "n_positions": 64,
    "tie_word_embeddings": False,
}
BERT = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "pad_token_id": 0,
    "id2label": {"0": "even", "1": "odd"},
    "label2id": {"even": 0, "odd": 1},
}
MASK = 257
MASKED_BERT = {**BERT, "architectures": ["BertForMaskedLM"], "vocab_size": 258}
del MASKED_BERT["id2label"], MASKED_BERT["label2id"]
SETTINGS = {"batch": len(TEXTS), "learning_rate": 3e-3, "weight_decay": 0.1, "warmup": 5, "clip_norm": 1.0}


def write_tasks(folder: Path) -> None:
    texts = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    sums = "".join(json.dumps({"q": f"{i} + {i + 10} =", "c": [str(2 * i + 10), "none"], "label": 0}) + "\n" for i in range(8))
    tasks = folder / "tasks"
    tasks.mkdir()
    labelled = "".join(json.dumps({"text": text, "label": ["even", "odd"][i % 2]}) + "\n" for i, text in enumerate(TEXTS))
    for name, content in (("texts", texts), ("sums", sums), ("labelled", labelled)):
        (tasks / f"{name}.jsonl").write_text(content)
    files = lambda name: {"files": {"train": str(tasks / f"{name}.jsonl"), "test": str(tasks / f"{name}.jsonl")}}
    suite = {"summary": "texts", "kind": "perplexity", "tasks": [{"name": "all", "dataset": files("texts")}]}
    (tasks / "texts.json").write_text(json.dumps(suite))
    suite = {
        "summary": "sums",
        "kind": "multiple_choice",
        "tasks": [{"name": "all", "dataset": files("sums"), "prompt": "{{q}}", "choices": "{{c}}"}],
    }
    (tasks / "sums.json").write_text(json.dumps(suite))
    suite = {
        "summary": "labelled texts",
        "kind": "sequence_classification",
        "tasks": [{"name": "all", "dataset": files("labelled"), "text": "{{text}}", "labels": ["even", "odd"]}],
    }
    (tasks / "labelled.json").write_text(json.dumps(suite))


def train(program: str, folder: Path, name: str, architecture: dict, task: str, steps: int, **more) -> Path:
    """Trains `initial`, the random weights (a step of no size), and `trained`; returns their folder."""
    loss = {"loss": more["loss"]} if "loss" in more else {}
    recipe = {
        "name": name,
        "tokenizer": str(Path(__file__).resolve().parents[2] / "recipes/tokenizers" / ("masked-bytes" if loss else "bytes")),
        "architecture": architecture,
        "checkpoints": {
            "initial": {"role": "base", "init": "random", "mixture": [task], "steps": 1, "batch": 1, "learning_rate": 1e-30, **loss},
            "trained": {"role": "expert", "init": "initial", "mixture": [task], "steps": steps, **SETTINGS, **more},
        },
    }
    (folder / f"{name}.json").write_text(json.dumps(recipe))
    environment = {**os.environ, "ASSAY_TASKS_DIR": str(folder / "tasks")}
    command = [program, "train", str(folder / f"{name}.json"), "-o", str(folder / name)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return folder / name


def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def learning_rate(step: int, steps: int, highest: float) -> float:
    warmup = SETTINGS["warmup"]
    if step < warmup:
        return highest * step / warmup
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def reference(model, loss_of, steps: int, highest: float = SETTINGS["learning_rate"]) -> list[float]:
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=highest, weight_decay=SETTINGS["weight_decay"])
    losses = []
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps, highest)
        optimizer.zero_grad()
        loss = loss_of(model)
        losses.append(loss.item())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, SETTINGS["clip_norm"])
        optimizer.step()
    return losses


def decoder_loss(model):
    rows = [[BOS] + list(text.encode()) for text in TEXTS]
    ids, targets = padded([row[:-1] for row in rows], 0), padded([row[1:] for row in rows], -100)
    mask = (targets != -100).long()
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def encoder_decoder_loss(model):
    sources = [list(f"{i} + {i + 10} =".encode()) for i in range(8)]
    answers = [list(f" {2 * i + 10}".encode()) for i in range(8)]
    ids, targets = padded(sources, 0), padded(answers, -100)
    mask = padded([[1] * len(source) for source in sources], 0)
    starts = padded([[0] + answer[:-1] for answer in answers], 0)
    logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=starts, use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def encoder_loss(model):
    rows = [list(text.encode()) for text in TEXTS]
    mask = padded([[1] * len(row) for row in rows], 0)
    logits = model(input_ids=padded(rows, 0), attention_mask=mask).logits
    return torch.nn.functional.cross_entropy(logits, torch.tensor([i % 2 for i in range(len(TEXTS))]))


def masked_model(folder: Path):
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    # Token 0, a byte here, may be read in the place of a masked one: it is to be trained like the others.
    model.bert.embeddings.word_embeddings.padding_idx = None
    return model


def masked_loss():
    """Of the texts as a recipe of seed 0 draws them; every call is the next step."""
    texts = [list(TEXTS[i].encode()) for i in Rng(0, "examples of texts/all").permutation(len(TEXTS))]
    steps = itertools.count()

    def loss(model):
        step = next(steps)
        drawn = [masked(text, MASK, 258, Rng(0, f"masked tokens of text {i} in step {step}")) for i, text in enumerate(texts)]
        ids = padded([[BOS, *read, BOS] for read, _ in drawn], 0)
        targets = padded([[-100, *own, -100] for _, own in drawn], -100)
        mask = padded([[1] * (len(read) + 2) for read, _ in drawn], 0)
        logits = model(input_ids=ids, attention_mask=mask).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return loss


def compare(name: str, folder: Path, losses: list[float], tensors: dict[str, torch.Tensor], file: str, tolerance: float) -> bool:
    own = json.loads((folder / "trained" / "assay.json").read_text())["losses"]
    of_losses = max(abs(a - b) / abs(b) for a, b in zip(own, losses, strict=True))
    stored = load_file(folder / "trained" / file)
    of_weights = 0.0
    for key, value in stored.items():
        other = tensors[key].detach().float()
        if key.endswith("key.bias"):
            continue
        if key.endswith("c_attn.bias"):
            value, other = (torch.cat([part[0], part[2]]) for part in (value.chunk(3), other.chunk(3)))
        of_weights = max(of_weights, ((value - other).abs().max() / other.abs().max().clamp_min(1e-8)).item())
    fine = of_losses <= tolerance and of_weights <= 10 * tolerance
    print(f"{name:<28} loss {losses[0]:.4f} to {losses[-1]:.4f}  differences: losses {of_losses:.1e}  weights {of_weights:.1e}  {'ok' if fine else 'FAILED'}")
    return fine


def compare_all(program: str, folder: Path, steps: int) -> bool:
    write_tasks(folder)
    fine = True
    for name, architecture in (("llama", LLAMA), ("gpt2", GPT2)):
        made = train(program, folder, name, architecture, "texts/all", steps)
        model = AutoModelForCausalLM.from_pretrained(made / "initial", dtype=torch.float32)
        losses = reference(model, decoder_loss, steps)
        state = dict(model.state_dict())
        state.update({key.removeprefix("transformer."): value for key, value in state.items()})
        fine &= compare(name, made, losses, state, "model.safetensors", TOLERANCE)
    made = train(program, folder, "accumulated", LLAMA, "texts/all", steps, accumulate=3, gradient_checkpointing=True)
    model = AutoModelForCausalLM.from_pretrained(made / "initial", dtype=torch.float32)
    losses = reference(model, decoder_loss, steps)
    fine &= compare("llama, batch in 3 parts", made, losses, dict(model.state_dict()), "model.safetensors", TOLERANCE)

    # At a higher rate, units of ReLU that flip make more of rounding.
    made = train(program, folder, "t5", T5, "sums/all", steps, learning_rate=3e-4)
    model = AutoModelForSeq2SeqLM.from_pretrained(made / "initial", dtype=torch.float32)
    losses = reference(model, encoder_decoder_loss, steps, 3e-4)
    fine &= compare("t5, answers", made, losses, dict(model.state_dict()), "model.safetensors", TOLERANCE)

    made = train(program, folder, "bert", BERT, "labelled/all", steps)
    model = AutoModelForSequenceClassification.from_pretrained(made / "initial", dtype=torch.float32)
    losses = reference(model, encoder_loss, steps)
    fine &= compare("bert, classes", made, losses, dict(model.state_dict()), "model.safetensors", TOLERANCE)
    fine &= compare_masked(program, folder, steps)[0]
    return fine & compare_adapters(program, folder, steps)


def compare_masked(program: str, folder: Path, steps: int) -> tuple[bool, list[float]]:
    made = train(program, folder, "masked", MASKED_BERT, "texts/all", steps, loss="masked")
    model = masked_model(made / "initial")
    losses = reference(model, masked_loss(), steps)
    return compare("bert, masked tokens", made, losses, dict(model.state_dict()), "model.safetensors", TOLERANCE), losses


def write_golden(program: str, folder: Path, file: Path) -> bool:
    steps = 10
    write_tasks(folder)
    fine, losses = compare_masked(program, folder, steps)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    settings = {**SETTINGS, "steps": steps, "loss": "masked"}
    golden = {"made by": f"scripts/peers/training.py --golden, {versions}", "texts": TEXTS, "architecture": MASKED_BERT, "settings": settings, "losses": losses}
    file.write_text(json.dumps(golden, indent=1) + "\n")
    return fine


def compare_adapters(program: str, folder: Path, steps: int) -> bool:
    from peft import PeftModel

    fine = True
    for name, architecture, targets in (("llama", LLAMA, ["q_proj", "down_proj"]), ("gpt2", GPT2, ["c_attn"])):
        adapter = {"rank": 4, "alpha": 8, "targets": targets}
        made = train(program, folder, f"{name}-lora", architecture, "texts/all", steps, adapter=adapter)
        start = train(program, folder, f"{name}-lora-start", architecture, "texts/all", 1, adapter=adapter, warmup=0, learning_rate=1e-30)
        model = PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(made / "initial", dtype=torch.float32), start / "trained", is_trainable=True
        )
        losses = reference(model, decoder_loss, steps)
        state = {key.replace(".default", ""): value for key, value in model.state_dict().items()}
        fine &= compare(f"{name}, adapter", made, losses, state, "adapter_model.safetensors", TOLERANCE)
        # The adapter that was trained here, applied by PEFT, gives the logits of the folded model.
        base = AutoModelForCausalLM.from_pretrained(made / "initial", dtype=torch.float32)
        applied = PeftModel.from_pretrained(base, made / "trained").eval()
        ids = torch.tensor([[BOS, *TEXTS[0].encode()]])
        with torch.no_grad():
            logits = applied(input_ids=ids).logits[0, -1]
            folded = applied.merge_and_unload()(input_ids=ids).logits[0, -1]
        print(f"{name}, folded and applied: largest difference of logits {(logits - folded).abs().max():.1e}")
        fine &= torch.allclose(logits, folded, atol=1e-4)
    return fine


def compare_rounding(program: str, folder: Path, steps: int) -> bool:
    """How far Assay and PyTorch in float32 are from PyTorch in float64. PyTorch also starts from weights whose last bits are changed, four times: Assay
    is to be no further than twice the furthest of these."""
    from peft import PeftModel

    write_tasks(folder)
    t5 = train(program, folder, "t5", T5, "sums/all", steps)
    adapter = {"rank": 4, "alpha": 8, "targets": ["q_proj", "down_proj"]}
    lora = train(program, folder, "lora", LLAMA, "texts/all", steps, adapter=adapter)
    start = train(program, folder, "start", LLAMA, "texts/all", 1, adapter=adapter, warmup=0, learning_rate=1e-30)
    base = lambda: AutoModelForCausalLM.from_pretrained(lora / "initial", dtype=torch.float32)
    cases = (
        ("t5", t5, "model.safetensors", encoder_decoder_loss, lambda: AutoModelForSeq2SeqLM.from_pretrained(t5 / "initial", dtype=torch.float32)),
        ("llama, LoRA", lora, "adapter_model.safetensors", decoder_loss, lambda: PeftModel.from_pretrained(base(), start / "trained", is_trainable=True)),
    )
    fine = True
    for name, made, file, loss_of, make in cases:

        def run(model):
            losses = reference(model, loss_of, steps)
            return losses, {key.replace(".default", ""): value.detach().double() for key, value in model.state_dict().items()}

        exact_losses, exact = run(make().double())
        own = load_file(made / "trained" / file)
        runs = {"PyTorch": [run(make())], "PyTorch, last bits changed": []}
        for seed in range(4):
            model, generator = make(), torch.Generator().manual_seed(seed)
            with torch.no_grad():
                for tensor in model.parameters():
                    tensor.mul_(1 + (torch.randint(0, 3, tensor.shape, generator=generator) - 1) * 2.0**-23)
            runs["PyTorch, last bits changed"].append(run(model))
        runs["Assay"] = [(json.loads((made / "trained" / "assay.json").read_text())["losses"], {key: own[key].double() for key in own})]
        far = {}
        for who, results in runs.items():
            of_losses = max(abs(a - b) / abs(b) for losses, _ in results for a, b in zip(losses, exact_losses, strict=True))
            of_weights = max(((tensors[key] - exact[key]).abs().max() / exact[key].abs().max().clamp_min(1e-8)).item() for _, tensors in results for key in own)
            far[who] = of_losses, of_weights
            print(f"{name + ', ' + who:<40} from float64: losses {of_losses:.1e}  weights {of_weights:.1e}")
        fine &= all(a <= 2 * b for a, b in zip(far["Assay"], far["PyTorch, last bits changed"]))
    return fine


def compare_speed(program: str, folder: Path) -> bool:
    """Of a decoder of width 128 on 16 windows of 256 bytes, on one thread."""
    architecture = {**LLAMA, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3, "num_key_value_heads": 4, "max_position_embeddings": 256}
    TEXTS[:] = ["".join(chr(97 + (i * j) % 26) for j in range(256)) for i in range(1, 17)]
    steps, batch = 40, 16
    write_tasks(folder)
    torch.set_num_threads(1)
    made = train(program, folder, "speed", architecture, "texts/all", steps, batch=batch)
    cost = json.loads((made / "trained" / "assay.json").read_text())
    own = cost["tokens"] / cost["cost"]["cpu_s"]
    model = AutoModelForCausalLM.from_pretrained(made / "initial", dtype=torch.float32)
    start = time.process_time()
    reference(model, decoder_loss, steps)
    other = steps * batch * 257 / (time.process_time() - start)
    print(f"tokens per second of CPU time: Assay {own:.0f}, PyTorch {other:.0f}: {own / other:.2f} times")
    return own >= 0.95 * other


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounding", action="store_true")
    parser.add_argument("--golden", type=Path)
    given = parser.parse_args()
    program = str(Path(given.program).resolve())
    with tempfile.TemporaryDirectory() as folder:
        if given.golden:
            fine = write_golden(program, Path(folder), given.golden)
        elif given.speed:
            fine = compare_speed(program, Path(folder))
        else:
            fine = (compare_rounding if given.rounding else compare_all)(program, Path(folder), given.steps)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
