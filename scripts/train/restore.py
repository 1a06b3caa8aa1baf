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

from bert import empty, from_transformers, layer_from_transformers
from common import save
from export import restored


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
    body = dict(pair for n in range(layers) for pair in layer_from_transformers(stored, n).items())
    for module, name in ((teacher.words, "words"), (teacher.positions, "positions"), (teacher.norm, "norm")):
        body.update((f"{name}.{key}", value) for key, value in module.state_dict().items())
    state = {f"bert.{key}": value for key, value in body.items()}
    state.update({"head.weight": head["linear.weight"], "head.bias": head["linear.bias"]})
    student = empty(state)
    student.load_state_dict(state)
    save(args.out, student=student.state_dict())


if __name__ == "__main__":
    main()
