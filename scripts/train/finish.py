#!/usr/bin/env python3
"""Ends a distillation: the mean of several students' weights, with a head fitted to the sharpened teacher.

  finish.py --work WORK --students WORK/student.pt WORK/labelled.pt --out WORK/final.pt

Students that went on from one another lie in one basin, so that the mean of their weights is better than either
(Wortsman et al., 2022). Their states are those of the teacher, so the head is least squares from their mean states to the
teacher's vectors, bent by sharpen.py's linear map; papers count fully, titles by --titles.
"""
import argparse

import numpy as np
import torch

from common import Papers, ridge, save, unit
from sharpen import rotation, sharpening
from student import empty, set_head
from target import corpus_vectors
from teacher import pooled


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--students", nargs="+", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--papers", type=int, default=6144)
    p.add_argument("--limit", type=int, default=128)
    p.add_argument("--titles", type=float, default=0.3)
    p.add_argument("--shrink", type=float, default=1.0)
    p.add_argument("--strength", type=float, default=1e-4, help="of the ridge, as a share of the mean of the diagonal")
    return p.parse_args()


def mean_student(paths):
    states = [torch.load(path, map_location="cpu")["student"] for path in paths]
    student = empty(states[0])
    student.load_state_dict({key: torch.stack([s[key] for s in states]).mean(0) for key in states[0]})
    return student.eval()


def main():
    args = arguments()
    papers, student = Papers(args.work), mean_student(args.students)
    numbers, full, title = corpus_vectors(args.work)
    x = unit(full.astype("f4"))
    bend = sharpening(papers, numbers, x, args.shrink)
    turn = rotation(unit(x @ bend), student.head.out_features)
    wanted = lambda teacher: unit(unit(unit(teacher[:args.papers].astype("f4")) @ bend) @ turn)
    given = [pooled(student.bert, [part(n) for n in numbers[:args.papers]], limit, "cpu", 2048)
             for part, limit in ((papers.full, args.limit), (papers.title, 64))]
    weight = np.concatenate([np.ones(args.papers), np.full(args.papers, args.titles)])
    map_, bias = ridge(np.concatenate(given).astype("f4"), np.concatenate([wanted(full), wanted(title)]), weight, args.strength)
    set_head(student, map_, bias)
    save(args.out, student=student.state_dict(), args=vars(args))


if __name__ == "__main__":
    main()
