"""Golden vectors and token ids of the real all-MiniLM-L6-v2: `minilm.py FOLDER` writes `tests/golden/minilm.*`."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from texts import golden_texts

GOLDEN = Path(__file__).parents[2] / "tests/golden"


def main() -> None:
    texts = golden_texts()
    model = SentenceTransformer(sys.argv[1], device="cpu", model_kwargs={"dtype": torch.float32})
    vectors = model.encode(texts, convert_to_tensor=True, batch_size=1).float()
    ids = [model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"] for text in texts]
    lengths = torch.tensor([len(row) for row in ids], dtype=torch.int32)
    flat = torch.tensor([token for row in ids for token in row], dtype=torch.int32)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    save_file({"vectors": vectors.contiguous(), "lengths": lengths, "ids": flat}, GOLDEN / "minilm.safetensors")
    path = GOLDEN / "texts.json"
    path.write_text(json.dumps(texts, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
