"""Writes the transformer of a sentence-transformers folder as ONNX, plain (for OpenVINO) and with ONNX Runtime's fused
operators (attention, layer norm, GELU), which is what it runs fastest: export.py FOLDER PLAIN.onnx FUSED.onnx"""
import json
import os
import sys

import torch
from onnxruntime.transformers import optimizer
from transformers import AutoModel


class LastHidden(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state


def main():
    folder, plain, fused = sys.argv[1:]
    ids = torch.ones(2, 7, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "batch", 1: "length"} for name in [*names, "hidden"]}
    with torch.inference_mode():
        torch.onnx.export(
            LastHidden(folder), (ids, ids, ids * 0), plain, input_names=names, output_names=["hidden"],
            dynamic_axes=axes, opset_version=17, dynamo=False, do_constant_folding=True,
        )
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    model = optimizer.optimize_model(plain, model_type="bert", num_heads=heads, hidden_size=hidden)
    model.save_model_to_file(fused)


if __name__ == "__main__":
    main()
