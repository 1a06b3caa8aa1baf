#!/usr/bin/env python3
"""Scores a model folder with sentence-transformers itself: the figures of the model cards come from here.

  evaluate.py --model DIR --eval ../shared/eval [--work WORK] [--widths 256 128] [--longest 512]

DIR is a folder of `export.py plain`, or any sentence-transformers model. With --work the held-out tasks are scored too.
"""
import argparse

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

import suite
from common import unit


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--work", default="")
    p.add_argument("--tokenizer", default="", help="with --work: the tokenizer that prepare.py used")
    p.add_argument("--widths", type=int, nargs="*", default=[])
    p.add_argument("--longest", type=int, default=0)
    p.add_argument("--device", default=None)
    return p.parse_args()


def main():
    args = arguments()
    model = SentenceTransformer(args.model, device=args.device)
    if args.longest:
        model.max_seq_length = args.longest
    texts = suite.quality(args.eval).texts()
    with torch.inference_mode():
        vectors = model.encode(list(texts.values()), batch_size=32, convert_to_numpy=True).astype("f4")
    for width in [vectors.shape[1], *args.widths]:
        print(width, suite.table(suite.development(args.eval, list(texts), vectors[:, :width].copy())), flush=True)
    if args.work:
        reader = Tokenizer.from_file(args.tokenizer)
        held = suite.HeldOut(args.work)
        # The prepared corpus holds no text, so the held-out papers are spelled from their tokens (lower case, no accents).
        encode = lambda rows: unit(model.encode([reader.decode(list(r)) for r in rows], convert_to_numpy=True).astype("f4"))
        print("held out", suite.table(held.score(encode)))


if __name__ == "__main__":
    main()
