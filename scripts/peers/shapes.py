"""Models of a given shape with random weights, and texts of a given number of tokens: enough to measure speed with."""
import json
import random
import shutil
from pathlib import Path

# hidden size, layers, heads, inner size: of BERT-base and BERT-large.
SHAPES = {"BERT-base shape": (768, 12, 12, 3072), "BERT-large shape": (1024, 24, 16, 4096)}
POSITIONS = 512
MARKS = 2


def make_model(folder, shape, minilm):
    """Writes a sentence-transformers folder: random weights, mean pooling, the tokenizer of MiniLM, which is BERT's."""
    import torch
    from transformers import BertConfig, BertModel

    hidden, layers, heads, inner = shape
    folder = Path(folder)
    config = BertConfig(
        vocab_size=len(vocabulary(minilm)), hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=POSITIONS, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.manual_seed(1)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if Path(minilm, name).is_file():
            shutil.copy(Path(minilm, name), folder)
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"))
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, (path, kind) in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS, "do_lower_case": False})
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True})


def shape_of(folder):
    """Hidden size, layers, heads and inner size of a model's folder."""
    config = json.loads(Path(folder, "config.json").read_text())
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return tuple(config[name] for name in names)


def operations(shape, tokens, squares):
    """Floating-point operations of the products in a forward pass over texts: `squares` is the sum of their squared lengths."""
    hidden, layers, _, inner = shape
    return layers * (tokens * (8 * hidden**2 + 4 * hidden * inner) + 4 * hidden * squares)


def write_texts(path, folder, tokens, count, seed):
    """Writes records whose texts have exactly so many tokens, the marks included, in the vocabulary of a model."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    words = whole_words(tokenizer)
    source = random.Random(seed)
    with open(path, "w", encoding="utf8") as out:
        for number in range(count):
            text = " ".join(source.choices(words, k=tokens - MARKS))
            if number == 0 and len(tokenizer.encode(text).ids) != tokens:
                raise ValueError(f"a text of {tokens} tokens was wanted: {text}")
            out.write(json.dumps({"id": f"t{number}", "text": text}) + "\n")


def whole_words(tokenizer):
    """Words that are one token each."""
    words = sorted(word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha() and word.islower() and len(word) > 2)
    return [word for word in words if len(tokenizer.encode(word, add_special_tokens=False).ids) == 1]


def vocabulary(folder):
    return json.loads(Path(folder, "tokenizer.json").read_text())["model"]["vocab"]


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")
