#!/usr/bin/env python3
"""Writes a trained model as a folder that the program and sentence-transformers can read.

  export.py static --checkpoint WORK/static.pt --tokenizer tokenizer.json --out models/NAME
  export.py bert   --checkpoint WORK/student.pt --tokenizer tokenizer.json --work WORK --out models/NAME
  export.py plain  --model models/NAME --out DIR

`bert` keeps the --vocabulary most used tokens of the corpus, and puts the numbers of states in an order in which bytes lose
least. `static` and `bert` store matrices in 8 bits with a scale per row: key `X.weight` is int8, `X.scale` float32 of one value
per row, and weight = int8 * scale. `plain` undoes that, so that sentence-transformers loads DIR.
"""
import argparse
import json
import os
import shutil

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from bert import HEAD, empty, in_order_of_size, to_transformers
from common import Papers, batches, framed

VERSIONS = {"sentence_transformers": "6.2.0", "transformers": "5.23.0", "pytorch": "2.15.0"}


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("kind", choices=["static", "bert", "plain"])
    p.add_argument("--checkpoint")
    p.add_argument("--tokenizer")
    p.add_argument("--model")
    p.add_argument("--work", help="with kind bert: where prepare.py wrote tokens.npy")
    p.add_argument("--vocabulary", type=int, default=23600)
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
    save_weights(args.out, "model.safetensors", {"embedding.weight": weight})
    tokenizer_without_limits(args.tokenizer, os.path.join(args.out, "tokenizer.json"))
    modules(args.out, [("", "StaticEmbedding"), ("1_Normalize", "Normalize")])
    write_json(args.out, "config.json", {"model_type": "static", "embedding_dimension": weight.shape[1],
                                         "vocab_size": weight.shape[0], "normalize": True})


def kept_tokens(tokenizer, tokens, size):
    """Old ids to keep, ascending: the special ones, every single character, then the most used in the corpus."""
    vocabulary = tokenizer["model"]["vocab"]
    counts = np.bincount(tokens, minlength=len(vocabulary)).astype(float)
    special = {t["content"] for t in tokenizer["added_tokens"]}
    for text, n in vocabulary.items():
        if text in special:
            counts[n] = np.inf
        elif len(text.removeprefix("##")) == 1 and counts[n] > 0:
            counts[n] = 1e12
    return np.sort(np.argsort(-counts, kind="stable")[:size])


def pruned_tokenizer(tokenizer, kept):
    """The same WordPiece with the kept tokens, renumbered in their old order."""
    new = {int(old): n for n, old in enumerate(kept)}
    model = tokenizer["model"]
    model["vocab"] = {text: new[n] for text, n in sorted(model["vocab"].items(), key=lambda item: item[1]) if n in new}
    for token in tokenizer["added_tokens"]:
        token["id"] = new[token["id"]]
    for special in tokenizer["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [new[n] for n in special["ids"]]
    for name in ("cls", "sep"):
        if name in tokenizer["post_processor"]:
            text, n = tokenizer["post_processor"][name]
            tokenizer["post_processor"][name] = [text, new[n]]
    tokenizer["truncation"] = tokenizer["padding"] = None
    return tokenizer


def save_weights(folder, name, weights):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    save_file(pack(weights), path, metadata={"format": "pt", "quantisation": "int8 rows, weight = int8 * scale"})
    os.chmod(path, 0o644)


def titles_and_papers(papers):
    """Batches of both, fields balanced."""
    numbers = papers.balanced(400, 0.6, 2)
    return batches([*(framed(papers.title(n), 64) for n in numbers), *(framed(papers.full(n), 128) for n in numbers)])


def export_bert(args):
    state = torch.load(args.checkpoint, map_location="cpu")
    student = empty(state["student"])
    student.load_state_dict(state["student"])
    student = in_order_of_size(student.eval(), titles_and_papers(Papers(args.work)))
    body, head = student.bert, (student.head.weight.detach().numpy(), student.head.bias.detach().numpy())
    width, inner = body.norm.weight.shape[0], body.layers[0].up.out_features
    with open(args.tokenizer, encoding="utf8") as f:
        tokenizer = json.load(f)
    kept = kept_tokens(tokenizer, np.load(f"{args.work}/tokens.npy"), args.vocabulary)
    weights = {k: v.numpy() for k, v in to_transformers(body).items()}
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][kept]
    save_weights(args.out, "model.safetensors", weights)
    save_weights(os.path.join(args.out, "2_Dense"), "model.safetensors", {"linear.weight": head[0], "linear.bias": head[1]})
    with open(os.path.join(args.out, "tokenizer.json"), "w", encoding="utf8") as f:
        json.dump(pruned_tokenizer(tokenizer, kept), f, ensure_ascii=False, separators=(",", ":"))
    modules(args.out, [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")])
    write_json(args.out, "config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": width,
        "intermediate_size": inner, "num_hidden_layers": len(body.layers), "num_attention_heads": width // HEAD,
        "max_position_embeddings": body.positions.num_embeddings, "type_vocab_size": 2, "vocab_size": len(kept), "layer_norm_eps": 1e-12,
        "pad_token_id": 0, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    write_json(args.out, "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    write_json(args.out, "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizerFast", "do_lower_case": True, "model_max_length": 512, "pad_token": "[PAD]",
        "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"})
    write_json(args.out, "1_Pooling/config.json", {
        "word_embedding_dimension": width, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    write_json(args.out, "2_Dense/config.json", {
        "in_features": width, "out_features": len(head[1]), "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity"})


def export_plain(args):
    """Every file but the weights is copied; weights become float32 under the same keys."""
    shutil.copytree(args.model, args.out, dirs_exist_ok=True)
    for folder, _, files in os.walk(args.model):
        if "model.safetensors" in files:
            stored = load_file(os.path.join(folder, "model.safetensors"))
            target = os.path.join(args.out, os.path.relpath(folder, args.model), "model.safetensors")
            save_file(restored(stored), target, metadata={"format": "pt"})
            os.chmod(target, 0o644)


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    {"static": export_static, "bert": export_bert, "plain": export_plain}[args.kind](args)


if __name__ == "__main__":
    main()
