"""What the scripts that make tiny models share: where they go, their tokenizer, their JSON."""

import json
import re
import string
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from texts import SENTENCES

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/models"
GOLDEN = Path(__file__).parents[2] / "tests/golden"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = 320


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def pieces() -> list[str]:
    """A small vocabulary: marks, letters, then the commonest words and endings. Trainers break ties by chance."""
    words = Counter(re.findall(r"[a-z]+", " ".join(SENTENCES).lower()))
    endings = Counter()
    for word, count in words.items():
        endings.update({f"##{word[-length:]}": count for length in (2, 3) if len(word) > length + 1})
    letters = [*string.ascii_lowercase, *string.digits, *".,;:!?()-'$\\=", "α", "é"]
    known = SPECIAL + letters + [f"##{letter}" for letter in string.ascii_lowercase + string.digits]
    common = sorted([*words.items(), *endings.items()], key=lambda item: (-item[1], item[0]))
    known += [piece for piece, _ in common if piece not in known]
    return known[:PIECES]


def tiny_tokenizer() -> Tokenizer:
    vocabulary = {piece: at for at, piece in enumerate(pieces())}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    marks = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=marks
    )
    return tokenizer


def module(index: int, path: str, name: str) -> dict:
    return {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name}"}
