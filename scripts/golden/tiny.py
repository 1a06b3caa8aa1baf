"""Makes the tiny random models of `tests/fixtures/models`, and their golden vectors with sentence-transformers.

Run once by `scripts/golden-vectors`; the folders are committed, so that a fresh clone tests every option without a
download. A variant is the tiny BERT with some files changed as `variants.json` says; the Rust tests build the same
folders from the same file.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from model2vec import StaticModel
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from folders import FIXTURES, GOLDEN, module, tiny_tokenizer, write_json
from texts import golden_texts

HIDDEN, LAYERS, HEADS, INNER, POSITIONS = 32, 2, 4, 48, 48


def make_bert(folder: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INNER,
        max_position_embeddings=POSITIONS,
        type_vocab_size=2,
        initializer_range=0.4,
    )
    network = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            # Fresh biases are zero and fresh norms one, so that one that is not read would go unnoticed.
            if name.endswith("bias") or "LayerNorm.weight" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    save_file({k: v for k, v in weights.items() if "position_ids" not in k}, folder / "model.safetensors")
    kept = (
        "model_type vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
        "max_position_embeddings type_vocab_size layer_norm_eps pad_token_id position_embedding_type"
    ).split()
    full = {**config.to_dict(), "position_embedding_type": "absolute", "pad_token_id": 0}
    write_json(folder / "config.json", {"architectures": ["BertModel"], **{k: full[k] for k in kept}})
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = {f"{name}_token": f"[{name.upper()}]" for name in ["pad", "unk", "cls", "sep", "mask"]}
    limits = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS}
    write_json(folder / "tokenizer_config.json", {**limits, **marks})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    chain = [module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling"), module(2, "2_Normalize", "Normalize")]
    write_json(folder / "modules.json", chain)
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True}
    write_json(folder / "1_Pooling/config.json", pooling)


def make_head_weights(folder: Path) -> None:
    torch.manual_seed(6)
    folder.mkdir(parents=True, exist_ok=True)
    dense = {"linear.weight": torch.randn(16, HIDDEN) * 0.2, "linear.bias": torch.randn(16) * 0.2}
    save_file(dense, folder / "dense.safetensors")
    save_file({"linear.weight": torch.randn(HIDDEN, HIDDEN) * 0.2}, folder / "square.safetensors")
    norm = {"norm.weight": torch.rand(HIDDEN) + 0.5, "norm.bias": torch.randn(HIDDEN) * 0.2}
    save_file(norm, folder / "norm.safetensors")


def make_static(folder: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"embedding.weight": torch.randn(tokenizer.get_vocab_size(), 24)}, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "modules.json", [module(0, "", "StaticEmbedding"), module(1, "1_Normalize", "Normalize")])


def make_model2vec(folder: Path, tokenizer: Tokenizer) -> None:
    torch.manual_seed(8)
    folder.mkdir(parents=True, exist_ok=True)
    size = tokenizer.get_vocab_size()
    tensors = {
        "embeddings": torch.randn(100, 16).half(),
        "mapping": torch.arange(size, dtype=torch.int64) * 37 % 100,
        "weights": torch.rand(size, dtype=torch.float64) + 0.1,
    }
    save_file(tensors, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": 16, "normalize": True}
    write_json(folder / "config.json", config)


def build(variant: dict, folder: Path) -> None:
    """The tiny BERT with the changes of a variant: the same rules as in the Rust tests."""
    shutil.copytree(FIXTURES / "tiny-bert", folder)
    for name in variant.get("remove", []):
        (folder / name).unlink()
    for name, changes in variant.get("merge", {}).items():
        path = folder / name
        value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, {**value, **changes} if isinstance(changes, dict) else changes)
    for name, source in variant.get("copy", {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FIXTURES / "head" / source, folder / name)


def vectors(folder: Path, texts: list[str], kind: str) -> torch.Tensor:
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    encode = {"plain": model.encode, "query": model.encode_query, "document": model.encode_document}[kind]
    return encode(texts, convert_to_tensor=True, batch_size=8).float().contiguous()


def main() -> None:
    tokenizer = tiny_tokenizer()
    make_bert(FIXTURES / "tiny-bert", tokenizer)
    make_head_weights(FIXTURES / "head")
    make_static(FIXTURES / "tiny-static", tokenizer)
    make_model2vec(FIXTURES / "tiny-model2vec", tokenizer)
    texts = golden_texts()[::4]
    tensors = {}
    for variant in json.loads((FIXTURES / "variants.json").read_text(encoding="utf-8")):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            build(variant, folder)
            for kind in variant.get("kinds", ["plain"]):
                tensors[f"{variant['name']}/{kind}"] = vectors(folder, texts, kind)
    filled = [text for text in texts if tokenizer.encode(text, add_special_tokens=False).ids]
    tensors["static/plain"] = vectors(FIXTURES / "tiny-static", filled, "plain")
    # model2vec guesses from its vocabulary after how many characters the limit of tokens is reached.
    short = [text for text in texts if len(text) < 900]
    model2vec = StaticModel.from_pretrained(str(FIXTURES / "tiny-model2vec"))
    tensors["model2vec/plain"] = torch.from_numpy(np.asarray(model2vec.encode(short), dtype=np.float32))
    GOLDEN.mkdir(parents=True, exist_ok=True)
    save_file(tensors, GOLDEN / "tiny.safetensors")


if __name__ == "__main__":
    main()
