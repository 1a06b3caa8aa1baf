#!/usr/bin/env python3
"""Makes the vectors that the student is to learn: the teacher's of a paper and its beginnings, bent by labels, ordered by variance.

  target.py --work WORK --eval ../shared/eval --tokenizer tokenizer.json --out WORK/target.npz

The teacher's vector of a paper is the mean of its unit vectors of the whole and of the beginnings that it read
(--beginnings): what a paper opens with says most of it, and the teacher's own training read no more than 128 tokens.
Beside it a paper has two more views, the static model's vector (--static) and a lexical one (TF-IDF over
tokens, truncated SVD); --mix says what each counts in the cosine. A linear map found from labels bends the whole
(--shrink, 0 leaves it out), the probabilities of the labels' prototypes are put beside it (--posterior), and it is rotated
by its principal axes, so that a prefix of the vector is its best summary. Works on stored vectors alone: a trial costs a
minute, and its score bounds what a student can reach.
"""
import argparse
import glob
import os

import numpy as np
import torch
from scipy import sparse
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

import suite
from common import Papers, STOP, unit
from sharpen import posterior, prototypes, rotation, sharpening


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", default="")
    p.add_argument("--static", default="", help="of static.py, where --mix counts it")
    p.add_argument("--beginnings", type=float, nargs="*", default=[0.25, 0.25],
                   help="shares of teacher.py's; the rest is the whole's")
    p.add_argument("--mix", type=float, nargs=3, default=[1.0, 0.0, 0.0], help="teacher, static, lexical")
    p.add_argument("--shrink", type=float, default=1.0, help="0: labels change nothing; else see sharpening()")
    p.add_argument("--posterior", type=float, nargs=2, default=[0.0, 20.0], help="share of the cosine, and sharpness")
    p.add_argument("--rank", type=int, default=256, help="of the lexical view")
    p.add_argument("--width", type=int, default=384)
    p.add_argument("--nested", type=int, nargs="*", default=[])
    return p.parse_args()


def stored(work, name):
    return np.load(os.path.join(work, "teacher", name + ".npz"))


def joined_beginnings(shard, shares):
    """The mean, by shares, of the unit vectors of the beginnings and of the whole: as long as the whole's vector."""
    whole = shard["full"].astype("f4")
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    joined = (1 - sum(shares)) * unit(whole)
    for k, share in enumerate(shares):
        joined += share * unit(shard["beginnings"][:, k].astype("f4"))
    return length * joined


def corpus_vectors(work, shares):
    """Of every shard that is there: paper numbers, the teacher's vectors of papers and titles, and the shift of the first from
    those of the wholes."""
    shards = [np.load(s) for s in sorted(glob.glob(os.path.join(work, "teacher", "[0-9]*.npz")))]
    numbers, whole, title = (np.concatenate([s[key] for s in shards]) for key in ("numbers", "full", "title"))
    full = np.concatenate([joined_beginnings(s, shares) for s in shards])
    return numbers, full, title, full - whole


def static_view(weight, rows):
    rows = [r if len(r) else [STOP] for r in rows]
    return np.stack([weight[np.asarray(r, "i8")].mean(0) for r in rows])


def counts(rows, vocabulary):
    """Token counts, as 1 + log, one sparse row per text."""
    ends = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    flat = np.concatenate(rows).astype("i4")
    matrix = sparse.csr_matrix((np.ones(ends[-1], "f4"), flat, ends), shape=(len(rows), vocabulary))
    matrix.sum_duplicates()
    matrix.data = 1 + np.log(matrix.data)
    return matrix


def lexical_fit(rows, rank, vocabulary=30522):
    """Inverse document frequencies and the SVD's axes; tokens in fewer than three texts are left out."""
    matrix = counts(rows, vocabulary)
    found = np.asarray((matrix > 0).sum(0)).ravel()
    rarity = np.where(found < 3, 0, np.log(len(rows) / np.maximum(found, 1))).astype("f4")
    axes = randomized_svd(normalize(matrix @ sparse.diags(rarity)), rank, n_iter=2, random_state=0)[2]
    return rarity, axes.T.astype("f4")


def lexical_view(fit, rows):
    rarity, axes = fit
    rows = [r if len(r) else [STOP] for r in rows]
    return normalize(counts(rows, len(rarity)) @ sparse.diags(rarity)) @ axes


def mixed(views, shares):
    """Vectors whose cosine is the weighted mean of the views' cosines."""
    # float(): a numpy scalar would turn the whole matrix into float64.
    return np.concatenate([float(np.sqrt(share / sum(shares))) * unit(view.astype("f4"))
                           for view, share in zip(views, shares)], 1)


def main():
    args = arguments()
    papers = Papers(args.work)
    numbers, teacher_full, teacher_title, shift = corpus_vectors(args.work, args.beginnings)
    full, title = [papers.full(n) for n in numbers], [papers.title(n) for n in numbers]
    views = [lambda teacher, rows: teacher] if args.mix[0] else []
    if args.mix[1]:
        weight = torch.load(args.static)["weight"].numpy()
        views.append(lambda teacher, rows: static_view(weight, rows))
    if args.mix[2]:
        fit = lexical_fit(full, args.rank)
        views.append(lambda teacher, rows: lexical_view(fit, rows))
    shares = [share for share in args.mix if share]

    def joined(teacher, rows):
        return mixed([view(teacher, rows) for view in views], shares)

    x = joined(teacher_full, full)
    bend = sharpening(papers, numbers, x, args.shrink) if args.shrink else np.eye(x.shape[1], dtype="f4")
    y = unit(x @ bend)
    means = prototypes(papers, numbers, y)
    share, scale = args.posterior

    def labelled(y):
        return mixed((y, posterior(y, means, scale)), (1 - share, share)) if share else y

    turn = rotation(labelled(y), args.width)
    project = lambda teacher, rows: unit(labelled(unit(joined(teacher, rows) @ bend)) @ turn)
    if args.out:
        np.savez(args.out, numbers=numbers, full=project(teacher_full, full).astype("f2"),
                 title=project(teacher_title, title).astype("f2"), shift=shift.astype("f2"))
    ids, coded = suite.development_texts(args.eval, args.tokenizer)
    judged = project(joined_beginnings(stored(args.work, "suite"), args.beginnings), coded)
    for w in (args.width, *args.nested):
        print(f"{w:7d}", suite.table(suite.development(args.eval, ids, judged[:, :w].copy())), flush=True)
    held = dict(stored(args.work, "held"))
    held["full"] = joined_beginnings(held, args.beginnings)
    print("held out", suite.table(suite.HeldOut(args.work).score_stored(held, project)))


if __name__ == "__main__":
    main()
