#!/usr/bin/env python3
"""Times what PLeaS does with its sums alone: a ridge regression per layer, against 400 steps of Adam on the same matrices.

  python3 scripts/bench/pleas_solves.py      (with torch)

The layers are those of a ResNet-20 of width 8, the matrices random, the operators those of methods/permute/layer_regression.cpp.
Processor time on one thread, the least of several rounds.
"""
import time

import torch

LAYERS = ([(9, 8)] + [(72, 8)] * 6 + [(72, 16)] + [(144, 16)] * 5 + [(8, 16), (144, 32)] + [(288, 32)] * 5 + [(16, 32), (33, 20)])


def sums():
    made = []
    for inputs, outputs in LAYERS:
        x = torch.randn(4 * inputs, inputs, dtype=torch.double)
        made.append((x.t() @ x, torch.randn(inputs, outputs, dtype=torch.double), torch.randn(outputs, inputs, dtype=torch.double)))
    return made


def closed_form(layers):
    for gram, cross, start in layers:
        right, left = cross.t() - start @ gram, gram.clone()
        left.diagonal().add_(left.diagonal().mean() * 1e-6)
        torch.cholesky_solve(right.t(), torch.linalg.cholesky(left))


def adam(layers, steps=400):
    for gram, cross, start in layers:
        weights, allowed = start.clone(), torch.ones_like(start)
        mean, square = torch.zeros_like(start), torch.zeros_like(start)
        for _ in range(steps):
            gradient = (weights @ gram - cross.t()).mul_(allowed).mul_(1e-3)
            mean.mul_(0.9).add_(gradient, alpha=0.1)
            square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            weights.addcdiv_(mean, (square / 0.5).sqrt_().add_(1e-8), value=-1e-4)


def least(run, rounds):
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def main():
    torch.set_num_threads(1)
    layers = sums()
    closed, steps = least(lambda: closed_form(layers), 15), least(lambda: adam(layers), 3)
    print(f"closed form {closed * 1e3:.1f} ms, 400 steps of Adam {steps * 1e3:.0f} ms: {steps / closed:.0f} times")


if __name__ == "__main__":
    main()
