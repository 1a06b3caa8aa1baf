#!/usr/bin/env python3
"""Makes a student of a committed model, to train on from it without the checkpoints of the run that made it.

  restore.py --model ../../models/thematic-small --teacher MINILM_FOLDER --out WORK/restored.pt

Words, positions and their norm are the teacher's, which training leaves as they are; the layers and the head are the model's,
as exact as its 8 bits.
"""
import argparse
import os

import torch
from safetensors.numpy import load_file

from bert import Bert, from_transformers, names
from common import save
from export import restored
from student import Student


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--teacher", required=True)
    p.add_argument("--out", required=True)
    args = p.parse_args()
    read = lambda folder, *path: load_file(os.path.join(folder, *path, "model.safetensors"))
    stored = {k: torch.from_numpy(v) for k, v in restored(read(args.model)).items()}
    head = {k: torch.from_numpy(v) for k, v in restored(read(args.model, "2_Dense")).items()}
    teacher = from_transformers(os.path.join(args.teacher, "model.safetensors"))
    layers = 1 + max(int(k.split(".")[2]) for k in stored if k.startswith("encoder.layer."))
    bert = Bert(teacher.words.weight.shape[0], layers, inner=stored["encoder.layer.0.intermediate.dense.weight"].shape[0])
    bert.words, bert.positions, bert.norm = teacher.words, teacher.positions, teacher.norm
    own = {ours: torch.cat([stored[t] for t in theirs]) for n in range(layers) for ours, theirs in names(n).items()}
    bert.load_state_dict({**bert.state_dict(), **own})
    student = Student(bert, head["linear.bias"].shape[0])
    student.head.load_state_dict({"weight": head["linear.weight"], "bias": head["linear.bias"]})
    save(args.out, student=student.state_dict())


if __name__ == "__main__":
    main()
