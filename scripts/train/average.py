#!/usr/bin/env python3
"""Ends a distillation: the mean of several students' weights, head included.

  average.py --students WORK/student.pt WORK/labelled.pt --out WORK/final.pt

Students that went on from one another lie in one basin, so that the mean of their weights keeps most of what each has learnt
(Wortsman et al., 2022).
"""
import argparse

import torch

from common import save


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--students", nargs="+", required=True)
    p.add_argument("--out", required=True)
    args = p.parse_args()
    states = [torch.load(path, map_location="cpu")["student"] for path in args.students]
    mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}
    save(args.out, student=mean, args=vars(args))


if __name__ == "__main__":
    main()
