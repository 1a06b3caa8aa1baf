#!/usr/bin/env python3
"""Writes a trained model as a folder that the program and sentence-transformers can read.

  export.py static --checkpoint WORK/static.pt --tokenizer tokenizer.json --out models/NAME
  export.py bert   --checkpoint WORK/student.pt --tokenizer tokenizer.json --out models/NAME
  export.py plain  --model models/NAME --out DIR

`static` and `bert` store matrices in 8 bits with a scale per row: key `X.weight` is int8, `X.scale` float32 of one value
per row, and weight = int8 * scale. `plain` undoes that, so that sentence-transformers loads DIR.
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

VERSIONS = {"sentence_transformers": "6.2.0", "transformers": "5.23.0", "pytorch": "2.15.0"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=["static", "bert", "plain"])
    p.add_argument("--checkpoint")
    p.add_argument("--tokenizer")
    p.add_argument("--model")
    p.add_argument("--out", required=True)
    return p.parse_args()


def write_json(folder, name, value):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf8") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def quantised(matrix):
    """int8 rows and their scales; the scale of a row is its largest magnitude over 127."""
    scale = np.maximum(np.abs(matrix).max(1), 1e-12).astype("f4") / np.float32(127)
    return np.clip(np.rint(matrix / scale[:, None]), -127, 127).astype("i1"), scale


def restored(stored):
    """Undoes `quantised` for every key that has a scale beside it."""
    out = {}
    for key, value in stored.items():
        if key.endswith(".scale"):
            continue
        scale = stored.get(key[:-len("weight")] + "scale") if key.endswith("weight") else None
        out[key] = value.astype("f4") * scale[:, None] if scale is not None else value.astype("f4")
    return out


def pack(weights):
    """Matrices in 8 bits, vectors in float32."""
    out = {}
    for key, value in weights.items():
        if value.ndim == 2:
            out[key], out[key[:-len("weight")] + "scale"] = quantised(value)
        else:
            out[key] = value.astype("f4")
    return out


def modules(folder, kinds):
    write_json(folder, "modules.json", [{"idx": n, "name": str(n), "path": path, "type": "sentence_transformers.models." + kind}
                                        for n, (path, kind) in enumerate(kinds)])
    write_json(folder, "config_sentence_transformers.json",
               {"__version__": VERSIONS, "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def tokenizer_without_limits(source, target):
    """Copies tokenizer.json less its truncation and padding: the reader decides about both."""
    with open(source, encoding="utf8") as f:
        stored = json.load(f)
    stored["truncation"] = stored["padding"] = None
    with open(target, "w", encoding="utf8") as f:
        json.dump(stored, f, ensure_ascii=False, separators=(",", ":"))


def export_static(args):
    state = torch.load(args.checkpoint, map_location="cpu")
    weight = state["weight"].float().numpy()
    save_file(pack({"embedding.weight": weight}), os.path.join(args.out, "model.safetensors"),
              metadata={"format": "pt", "quantisation": "int8 rows, weight = int8 * scale"})
    tokenizer_without_limits(args.tokenizer, os.path.join(args.out, "tokenizer.json"))
    modules(args.out, [("", "StaticEmbedding"), ("1_Normalize", "Normalize")])
    write_json(args.out, "config.json", {"model_type": "static", "embedding_dimension": weight.shape[1],
                                         "vocab_size": weight.shape[0], "normalize": True})


def export_plain(args):
    """Every file but the weights is copied; weights become float32 under the same keys."""
    shutil.copytree(args.model, args.out, dirs_exist_ok=True)
    stored = load_file(os.path.join(args.model, "model.safetensors"))
    save_file(restored(stored), os.path.join(args.out, "model.safetensors"), metadata={"format": "pt"})
    os.makedirs(os.path.join(args.out, "1_Normalize"), exist_ok=True)


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    {"static": export_static, "plain": export_plain}[args.kind](args)
    os.chmod(os.path.join(args.out, "model.safetensors"), 0o644)


if __name__ == "__main__":
    main()
