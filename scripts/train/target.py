#!/usr/bin/env python3
"""Makes the vectors that the student is to learn: the teacher's, bent by labels, ordered by variance.

  target.py --work WORK --eval ../shared/eval --out WORK/target.npz [--static WORK/static.pt --mix 0.3] [--shrink 1]

A paper's source vector is the teacher's unit vector and beside it, weighted by --mix, the static model's. A linear map
found from labels may bend it (--shrink). The result is rotated by its principal axes, so that a prefix of the vector is
its best summary. Works on stored vectors alone: a trial costs a minute, and its score bounds what a student can reach.
"""
import argparse
import glob
import os

import numpy as np
import torch

import suite
from common import Papers, STOP, unit


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", default="")
    p.add_argument("--static", default="")
    p.add_argument("--mix", type=float, default=0.5)
    p.add_argument("--shrink", type=float, default=0.0, help="0: labels change nothing; else see sharpening()")
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--nested", type=int, nargs="*", default=[])
    return p.parse_args()


def stored(work, name):
    return np.load(os.path.join(work, "teacher", name + ".npz"))


def corpus_vectors(work):
    """Paper numbers, full and title vectors of every shard that is there."""
    shards = sorted(glob.glob(os.path.join(work, "teacher", "[0-9]*.npz")))
    parts = [np.load(s) for s in shards]
    return [np.concatenate([p[key] for p in parts]) for key in ("numbers", "full", "title")]


def bags_mean(weight, rows):
    rows = [r if len(r) else [STOP] for r in rows]
    return np.stack([weight[np.asarray(r, "i8")].mean(0) for r in rows])


def source(teacher, static, mix):
    """Unit vectors whose cosine is the weighted mean of the parts' cosines."""
    if static is None:
        return unit(teacher.astype("f4"))
    # A numpy scalar would turn the whole matrix into float64.
    return np.concatenate([float(np.sqrt(1 - mix)) * unit(teacher.astype("f4")), float(np.sqrt(mix)) * unit(static)], 1)


def sharpening(papers, numbers, x, shrink, least=8):
    """A symmetric map that shrinks directions in which papers of one label differ, as the labels' own spread says.

    The inverse root of the scatter within labels (a paper's first label), plus `shrink` times its mean eigenvalue on
    the diagonal: a large `shrink` changes little. Closed form, so it cannot overfit far, and nothing has to be tuned
    but that number.
    """
    first = np.array([papers.labels(n)[0] if len(papers.labels(n)) else -1 for n in numbers])
    counts = np.bincount(first[first >= 0], minlength=len(papers.label_names))
    known = (first >= 0) & (counts[np.maximum(first, 0)] >= least)
    apart = x[known].copy()
    for label in np.unique(first[known]):
        apart[first[known] == label] -= x[first == label].mean(0)
    values, axes = np.linalg.eigh(apart.T @ apart / len(apart))
    return (axes * (values / values.mean() + shrink) ** -0.5) @ axes.T


def main():
    args = arguments()
    papers = Papers(args.work)
    numbers, full, title = corpus_vectors(args.work)
    suite_file, held_file = stored(args.work, "suite"), stored(args.work, "held")
    weight = torch.load(args.static)["weight"].numpy() if args.static else None
    words = (lambda rows: bags_mean(weight, rows)) if args.static else (lambda rows: None)
    _, coded = suite.development_texts(args.eval, args.tokenizer)
    x_full = source(full, words([papers.full(n)[:256] for n in numbers]), args.mix)
    x_title = source(title, words([papers.title(n) for n in numbers]), args.mix)
    x_suite = source(suite_file["full"], words(coded), args.mix)
    bend = sharpening(papers, numbers, x_full, args.shrink) if args.shrink else np.eye(x_full.shape[1])
    y = unit(x_full @ bend.T)
    _, axes = np.linalg.eigh(y.T @ y)
    rotation = axes[:, ::-1][:, :args.width]
    project = lambda x: unit(unit(x @ bend.T) @ rotation)
    ids = list(suite_file["numbers"])
    print("source ", "", suite.table(suite.development(args.eval, ids, x_suite)))
    for w in (args.width, *args.nested):
        print(f"{w:7d}", suite.table(suite.development(args.eval, ids, project(x_suite)[:, :w].copy())), flush=True)
    held = suite.HeldOut(args.work)
    print("held  source", suite.table(held.score_stored(held_file, lambda x, rows: source(x, words(rows), args.mix))))
    print("held        ", suite.table(held.score_stored(held_file, lambda x, rows: project(source(x, words(rows), args.mix)))))
    if args.out:
        np.savez(args.out, numbers=numbers, full=project(x_full).astype("f2"), title=project(x_title).astype("f2"))


if __name__ == "__main__":
    main()
