#!/usr/bin/env python3
"""Times forward passes of Mixtrals: Assay's expert layers against transformers' on the same weights.

  ENV/bin/python scripts/bench/experts.py --program build/bench/bench_experts      (ENV: see scripts/peers/install.sh)

One batch of 512 tokens in float32, random weights, the same number of threads. Passes of both programs take turns in one run, so that the machine's
speed is the same for both; the first of each is not counted. The first model has 8 experts, two for a token. The others say what cost grows with: more
experts for a token (active parameters), and more experts of which as many answer (total parameters). transformers runs its experts as it does by
default, and with each implementation that --experts names ("eager", "grouped_mm", "batched_mm").
"""
import argparse
import pathlib
import statistics
import subprocess
import time

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Experts, and how many of them a token is sent to.
MODELS = [(8, 2), (8, 1), (8, 4), (8, 8), (16, 2), (32, 2)]


def make_model(folder, experts, per_token, options):
    if folder.exists():
        return
    torch.manual_seed(0)
    config = transformers.MixtralConfig(
        vocab_size=256, hidden_size=options.width, intermediate_size=options.inner, num_hidden_layers=options.layers,
        num_attention_heads=8, num_key_value_heads=4, num_local_experts=experts, num_experts_per_tok=per_token,
        max_position_embeddings=options.tokens, sliding_window=None)
    transformers.MixtralForCausalLM(config).save_pretrained(folder)


class Ours:
    def __init__(self, folder, options):
        self.child = subprocess.Popen([options.program, folder, str(options.threads)], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.tokens = options.tokens

    def seconds(self):
        self.child.stdin.write(f"{self.tokens}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.child.args[0]} ended with {self.child.wait()}")
        return float(line)

    def end(self):
        self.child.stdin.close()
        self.child.wait()


class Theirs:
    def __init__(self, folder, options, implementation):
        chosen = {} if implementation == "default" else {"experts_implementation": implementation}
        self.model = transformers.MixtralForCausalLM.from_pretrained(folder, dtype=torch.float32, **chosen).eval()
        self.ids = ((torch.arange(options.tokens) * 7 + 3) % self.model.config.vocab_size).unsqueeze(0)

    @torch.no_grad()
    def seconds(self):
        begin = time.perf_counter()
        self.model(self.ids, use_cache=False)
        return time.perf_counter() - begin

    def end(self):
        del self.model


def parameters(experts, per_token, options):
    """Total and active values of the experts, in millions."""
    one = 3 * options.width * options.inner * options.layers / 1e6
    return experts * one, per_token * one


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/bench/bench_experts")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/bench/experts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--inner", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--experts", nargs="*", default=[], help="implementations of transformers besides its default")
    options = parser.parse_args()
    options.program = options.program.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {options.threads} threads, {options.tokens} tokens, "
          f"{options.layers} layers of width {options.width}, experts of {options.inner} units, medians of {options.rounds} rounds")
    print("| experts | per token | M values | active | Assay, ms | " +
          " | ".join(f"transformers ({name}), ms | ratio" for name in ("default", *options.experts)) + " |")
    print("|---" * (5 + 2 * (1 + len(options.experts))) + "|")
    for experts, per_token in MODELS:
        folder = options.work / f"{options.width}-{options.inner}-{options.layers}-{options.tokens}-{experts}-{per_token}"
        make_model(folder, experts, per_token, options)
        runners = {"Assay": Ours(folder, options)}
        for name in ("default", *options.experts):
            runners[name] = Theirs(folder, options, name)
        took = {name: [] for name in runners}
        for _ in range(options.rounds + 1):
            for name, runner in runners.items():
                took[name].append(runner.seconds())
        for runner in runners.values():
            runner.end()
        medians = {name: statistics.median(times[1:]) for name, times in took.items()}
        total, active = parameters(experts, per_token, options)
        cells = [f"{experts}", f"{per_token}", f"{total:.1f}", f"{active:.1f}", f"{1e3 * medians['Assay']:.1f}"]
        for name in ("default", *options.experts):
            ratios = [theirs / ours for theirs, ours in zip(took[name][1:], took["Assay"][1:])]
            cells += [f"{1e3 * medians[name]:.1f}", f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
