"""Golden vectors of the embedded model as `thematic models export` wrote it: `embedded.py FOLDER`."""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer

from texts import golden_texts

GOLDEN = Path(__file__).parents[2] / "tests/golden"


def main() -> None:
    model = SentenceTransformer(sys.argv[1], device="cpu", model_kwargs={"dtype": torch.float32})
    vectors = model.encode(golden_texts()[::4], convert_to_tensor=True, batch_size=1).float()
    save_file({"vectors": vectors.contiguous()}, GOLDEN / "embedded.safetensors")


if __name__ == "__main__":
    main()
