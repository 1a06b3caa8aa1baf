"""JinaBERT v2, which transformers does not have: written from its paper (arXiv 2310.19923) and configuration."""

import math

import torch
from torch import nn
from torch.nn import functional


class JinaLayer(nn.Module):
    """A layer of BERT whose scores take a bias and whose feed-forward part is gated."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))
        self.dense, self.norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, eps=1e-12)
        self.gated, self.wo = nn.Linear(hidden, 2 * inner, bias=False), nn.Linear(inner, hidden)
        self.last = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, rows: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        heads = [part(rows).unflatten(-1, (len(bias), -1)).transpose(-2, -3) for part in (self.query, self.key, self.value)]
        context = functional.scaled_dot_product_attention(*heads, attn_mask=bias).transpose(-2, -3).flatten(-2)
        rows = self.norm(rows + self.dense(context))
        gate, gated = self.gated(rows).chunk(2, dim=-1)
        return self.last(rows + self.wo(functional.gelu(gate) * gated))


class JinaBert(nn.Module):
    """JinaBERT v2: no positions; a score loses the head's slope times the distance (ALiBi, both ways)."""

    # What the published checkpoints call the parts.
    NAMES = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "dense": "attention.output.dense",
        "norm": "attention.output.LayerNorm",
        "gated": "mlp.gated_layers",
        "wo": "mlp.wo",
        "last": "mlp.layernorm",
    }

    def __init__(self, vocabulary: int, hidden: int, heads: int, inner: int) -> None:
        super().__init__()
        self.words, self.segments = nn.Embedding(vocabulary, hidden), nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.layers = nn.ModuleList(JinaLayer(hidden, inner) for _ in range(2))
        # For a number of heads that is no power of two: the slopes of the power below, then every other one of that above.
        below = 2 ** math.floor(math.log2(heads))
        slopes = [2 ** (-8 * at / below) for at in range(1, below + 1)]
        slopes += [2 ** (-8 * at / (2 * below)) for at in range(1, 2 * below + 1)][0::2][: heads - below]
        self.slopes = torch.tensor(slopes)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1])
        bias = -self.slopes[:, None, None] * (places[:, None] - places[None, :]).abs()
        rows = self.norm(self.words(input_ids) + self.segments(torch.zeros_like(input_ids)))
        for layer in self.layers:
            rows = layer(rows, bias)
        return rows

    def published(self) -> dict[str, torch.Tensor]:
        weights = {
            "embeddings.word_embeddings.weight": self.words.weight,
            "embeddings.token_type_embeddings.weight": self.segments.weight,
            "embeddings.LayerNorm.weight": self.norm.weight,
            "embeddings.LayerNorm.bias": self.norm.bias,
        }
        for at, layer in enumerate(self.layers):
            for name, tensor in layer.state_dict().items():
                part, kind = name.split(".")
                weights[f"encoder.layer.{at}.{self.NAMES[part]}.{kind}"] = tensor
        return {name: tensor.detach() for name, tensor in weights.items()}
