#!/usr/bin/env python3
"""Vectors of the teacher, once: for the suite's texts, the held-out papers and a sample of the corpus.

  teacher.py --work WORK --teacher MINILM_FOLDER --eval ../shared/eval --papers 100000

Writes WORK/teacher/suite.npz, WORK/teacher/held.npz and shards WORK/teacher/00000.npz of 2,048 papers each; a shard that
is there is not made again, so a kill costs one shard. A shard holds paper numbers, `full` and `title`: means of the
last states, float16, not normalised; and `beginnings`, (papers, cuts, width): the same of each paper read no further than
--beginnings says. Beside it, NNNNN.states.npy holds the last states themselves, of the tokens of all its papers end to end
(`lengths` in the shard): about 190 MB a thousand papers of 250 tokens.
"""
import argparse
import os
import time

import numpy as np
import torch

import suite
from bert import from_transformers, mean
from common import LONGEST, Papers, framed, padded, pick_device

SHARD = 2048


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--teacher", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--papers", type=int, default=100000)
    p.add_argument("--limit", type=int, default=LONGEST, help="tokens of a text")
    p.add_argument("--beginnings", type=int, nargs="*", default=[64, 128], help="tokens of the beginnings that are read too")
    p.add_argument("--power", type=float, default=0.6, help="field balance: 1 as in the corpus, 0 all fields alike")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--part", type=int, default=0, help="of --parts processes, one thread each, this one")
    p.add_argument("--parts", type=int, default=1)
    p.add_argument("--budget", type=int, default=2048, help="tokens of a batch: small ones stay in a core's cache")
    p.add_argument("--device", default="auto")
    return p.parse_args()


def pooled(model, rows, limit, device, budget, keep=None):
    """Means of the last states; `rows` are token ids without special tokens. `keep(row, states)` gets the states."""
    rows = [framed(r, limit) for r in rows]
    order = np.argsort([-len(r) for r in rows], kind="stable")
    out, at = np.zeros((len(rows), model.norm.weight.shape[0]), "f2"), 0
    while at < len(order):
        take = order[at:at + max(1, budget // len(rows[order[at]]))]
        ids, lengths = padded([rows[n] for n in take], device)
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16):
            states, real = model.hidden(ids, lengths)
            out[take] = mean(states[-1], real).cpu().numpy()
            last = states[-1].half().cpu().numpy() if keep else None
        if keep:
            for n, row in enumerate(take):
                keep(row, last[n, :len(rows[row])])
        at += len(take)
    return out


def write(path, **arrays):
    with open(path + ".part", "wb") as f:
        np.savez(f, **arrays)
    os.replace(path + ".part", path)


def main():
    args = arguments()
    device = pick_device(args.device)
    if args.parts > 1:
        torch.set_num_threads(1)
    model = from_transformers(os.path.join(args.teacher, "model.safetensors")).eval().to(device)
    papers, folder = Papers(args.work), os.path.join(args.work, "teacher")
    os.makedirs(folder, exist_ok=True)

    turn = iter(range(10**9))

    def made(name, numbers, full, title, with_states=False):
        path = os.path.join(folder, name + ".npz")
        if next(turn) % args.parts != args.part or os.path.exists(path):
            return
        start, full = time.time(), full()
        states = [None] * len(full)
        read = lambda rows, limit, keep=None: pooled(model, rows, limit, device, args.budget, keep)
        arrays = {"numbers": numbers, "full": read(full, args.limit, states.__setitem__ if with_states else None)}
        if args.beginnings:
            arrays["beginnings"] = np.stack([read(full, limit) for limit in args.beginnings], 1)
        if title is not None:
            arrays["title"] = read(title(), 64)
        if with_states:
            np.save(path.replace(".npz", ".states.npy"), np.concatenate(states))
            arrays["lengths"] = np.array([len(s) for s in states])
        write(path, **arrays)
        print(f"{name} {len(full) / (time.time() - start):.1f}/s", flush=True)

    ids, coded = suite.development_texts(args.eval, os.path.join(args.teacher, "tokenizer.json"))
    made("suite", np.array(ids), lambda: coded, None)
    held = suite.HeldOut(args.work).numbers()
    made("held", held, lambda: [papers.full(n) for n in held], lambda: [papers.title(n) for n in held])
    order = papers.balanced(args.papers, args.power, args.seed)
    for at in range(0, len(order), SHARD):
        numbers = order[at:at + SHARD]
        made(f"{at // SHARD:05d}", numbers, lambda: [papers.full(n)[:args.limit] for n in numbers],
             lambda: [papers.title(n) for n in numbers], with_states=True)


if __name__ == "__main__":
    main()
