"""Which tokens Assay masks in training, drawn again: Philox4x32-10 under a key that XXH3 makes of the seed and of what is drawn (harness/core/rng.h), and BERT's
rule (harness/lm/masking.h). For scripts that compare training by masked tokens; needs xxhash.
"""

import math
import struct

import xxhash

ALL = 2**32 - 1


def philox(counter: int, key: int) -> tuple[int, int, int, int]:
    c0, c1, c2, c3 = counter & ALL, counter >> 32, 0, 0
    k0, k1 = key & ALL, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & ALL, (p0 >> 32) ^ c3 ^ k1, p0 & ALL
        k0, k1 = (k0 + 0x9E3779B9) & ALL, (k1 + 0xBB67AE85) & ALL
    return c0, c1, c2, c3


class Rng:
    def __init__(self, seed: int, purpose: str) -> None:
        name = purpose.encode()
        self.key = xxhash.xxh3_128_intdigest(struct.pack("<QQ", seed, len(name)) + name) & (2**64 - 1)
        self.next = 0

    def bits(self) -> int:
        value = philox(self.next >> 2, self.key)[self.next & 3]
        self.next += 1
        return value

    def uniform(self) -> float:
        high, low = self.bits(), self.bits()
        return ((high << 32 | low) >> 11) * 2.0**-53

    def below(self, n: int) -> int:
        return int(self.uniform() * n)

    def permutation(self, n: int) -> list[int]:
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def masked_count(tokens: int) -> int:
    return max(1, math.floor(tokens * 0.15 + 0.5))


def masked(ids: list[int], mask: int, vocabulary: int, rng: Rng) -> tuple[list[int], list[int]]:
    """What a model reads of a text's tokens, without special ones, and what it is to predict there: -100 where nothing."""
    read, targets = list(ids), [-100] * len(ids)
    for place in sorted(rng.permutation(len(ids))[: masked_count(len(ids))]):
        targets[place] = ids[place]
        draw = rng.uniform()
        if draw < 0.8:
            read[place] = mask
        elif draw < 0.9:
            read[place] = rng.below(vocabulary)
    return read, targets
