"""What the steps share: the prepared corpus, padded batches, devices, checkpoints."""
import json
import os

import numpy as np
import torch

CLS, SEP, STOP = 101, 102, 1012
LONGEST = 512  # Tokens of a text that are read, by the program too.


class Papers:
    """The files of prepare.py. Paper n has title `title(n)` and abstract `abstract(n)`, arrays of token ids."""

    def __init__(self, work):
        self.tokens = np.load(f"{work}/tokens.npy", mmap_mode="r")
        stored = np.load(f"{work}/papers.npz")
        self.starts, self.field, self.held = stored["starts"], stored["field"], stored["held"]
        self.label, self.label_starts = stored["label"], stored["label_starts"]
        self.label_names = list(stored["label_names"])
        self.count = len(self.field)

    def title(self, n):
        return self.tokens[self.starts[2 * n]:self.starts[2 * n + 1]]

    def abstract(self, n):
        return self.tokens[self.starts[2 * n + 1]:self.starts[2 * n + 2]]

    def full(self, n):
        """Title, full stop, abstract: what the program makes of a paper."""
        return np.concatenate([self.title(n), np.array([STOP], "u2"), self.abstract(n)])

    def labels(self, n):
        return self.label[self.label_starts[n]:self.label_starts[n + 1]]

    def training(self):
        return np.where(~self.held)[0]

    def balanced(self, count, power, seed):
        """`count` training papers, a field's share being (its size)**power, none twice; in random order."""
        random = np.random.default_rng(seed)
        pool = self.training()
        sizes = np.bincount(self.field[pool], minlength=256).astype(float)
        weight = np.where(sizes > 0, np.maximum(sizes, 1) ** (power - 1), 0)[self.field[pool]]
        key = random.exponential(size=len(pool)) / weight
        return pool[np.argsort(key)[:count]]


def held_out(work):
    """Descriptions of the held-out papers, in order of their numbers."""
    with open(f"{work}/held.jsonl", encoding="utf8") as f:
        return [json.loads(line) for line in f]


def framed(ids, limit):
    """[CLS] ids [SEP], cut to `limit` tokens."""
    return np.concatenate([[CLS], ids[:limit - 2], [SEP]]).astype("i8")


def padded(rows, device="cpu"):
    lengths = torch.tensor([len(r) for r in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for n, row in enumerate(rows):
        ids[n, :len(row)] = torch.from_numpy(row)
    return ids.to(device), lengths.to(device)


def batches(rows, size=16, device="cpu"):
    """Rows of token ids, in their order, as batches of (ids, lengths)."""
    return [padded(rows[n:n + size], device) for n in range(0, len(rows), size)]


def pick_device(name):
    return name if name != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")


def save(path, **state):
    """Writes a checkpoint so that a kill leaves either the old one or the new one."""
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
