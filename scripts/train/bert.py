"""A small BERT that pools by the mean: the teacher, and the student cut from it.

Same weights and names as transformers' BertModel (checked by export.py against sentence-transformers), without its
overheads: one fused query-key-value product, and attention without a mask where a batch holds one length.
"""
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

HEAD = 32  # Numbers of a head, MiniLM's.


def attention(q, k, v, mask):
    """As the fused product, whose way back takes two thirds of a training step on a CPU; these take one."""
    if q.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    b, h, t, d = q.shape
    flat = lambda x: x.reshape(b * h, t, d)
    # Padding is taken off as the product's bias, and the softmax stays in the product's type: fewer passes over the scores.
    padding = torch.zeros(1, 1, 1, dtype=q.dtype) if mask is None else torch.where(mask, 0.0, -3e4).to(q.dtype)
    with torch.autocast(q.device.type, enabled=False):
        scores = torch.baddbmm(padding.expand(b, h, 1, t).reshape(b * h, 1, t), flat(q) * d**-0.5, flat(k).transpose(1, 2))
        return torch.bmm(scores.softmax(-1), flat(v)).view(b, h, t, d)


class Layer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * heads * HEAD)
        self.out = nn.Linear(heads * HEAD, width)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def mixed(self, x, mask):
        """What attention gives, the heads side by side."""
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, -1, HEAD).permute(2, 0, 3, 1, 4)
        return attention(q, k, v, mask).transpose(1, 2).reshape(b, t, -1)

    def attended(self, x, mask):
        """The sum after attention, before it is normalised."""
        return x + self.out(self.mixed(x, mask))

    def middle(self, x, mask):
        """What the feed-forward part reads."""
        return self.norm1(self.attended(x, mask))

    def expanded(self, x, mask):
        """The sum after the feed-forward part, before it is normalised."""
        x = self.middle(x, mask)
        return x + self.down(F.gelu(self.up(x)))

    def forward(self, x, mask):
        return self.norm2(self.expanded(x, mask))


def mask_of(real):
    """Which tokens attention sees; none where it sees all."""
    return None if bool(real.all()) else real[:, None, None, :]


class Bert(nn.Module):
    def __init__(self, vocabulary, layers, width=384, heads=12, inner=1536, positions=512):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(width, heads, inner) for _ in range(layers))

    def hidden(self, ids, lengths):
        """States of every layer and the mask of real tokens; `ids` is padded on the right."""
        t = ids.shape[1]
        real = torch.arange(t, device=ids.device)[None] < lengths[:, None]
        mask = mask_of(real)
        x = self.norm(self.words(ids) + self.positions.weight[:t])
        if torch.is_autocast_enabled(ids.device.type):
            x = x.bfloat16()
        states = [x]
        for layer in self.layers:
            states.append(layer(states[-1], mask))
        return states, real

    def forward(self, ids, lengths):
        """Mean of the last states, not normalised: (batch, width), float32."""
        states, real = self.hidden(ids, lengths)
        return mean(states[-1], real)


def mean(states, real):
    """Mean over the real tokens, in float32 also under autocast (a product would be cast down)."""
    weights = real.float() / real.sum(1, keepdim=True)
    return (states.float() * weights[:, :, None]).sum(1)


class Student(nn.Module):
    """A small BERT and a linear head."""

    def __init__(self, bert, width):
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(bert.words.weight.shape[1], width)

    def forward(self, ids, lengths, device):
        return self.with_states(ids, lengths, device)[0]

    def with_states(self, ids, lengths, device):
        """Vectors, and the last states of the real tokens end to end."""
        with torch.autocast(device, torch.bfloat16):
            states, real = self.bert.hidden(ids, lengths)
        return self.head(mean(states[-1], real)), states[-1][real]


def empty(stored):
    """A student of the shape of these weights, of which every layer has the first one's."""
    layers = 1 + max(int(k.split(".")[2]) for k in stored if k.startswith("bert.layers."))
    mixed, inner = (stored[f"bert.layers.0.{x}.weight"].shape[1] for x in ("out", "down"))
    bert = Bert(stored["bert.words.weight"].shape[0], layers, heads=mixed // HEAD, inner=inner)
    return Student(bert, stored["head.weight"].shape[0])


@torch.inference_mode()
def in_order_of_size(student, batches):
    """The same student with the numbers of its states in the order of their mean magnitude, where maps read them. Whoever rounds
    them to bytes in groups of neighbours, with a step for each group, loses a third less then: no small number shares a large
    one's step. `batches` are (ids, lengths)."""
    bert, total = student.bert, 0
    for ids, lengths in batches:
        states, real = bert.hidden(ids, lengths)
        middles = [layer.middle(x, mask_of(real)) for layer, x in zip(bert.layers, states)]
        total = total + sum(read[real].abs().sum(0) for read in (*states[:-1], *middles))
    order = total.argsort()
    readers = [bert.words, bert.positions, student.head, *(x for layer in bert.layers for x in (layer.qkv, layer.up))]
    writers = [bert.norm, *(x for layer in bert.layers for x in (layer.out, layer.norm1, layer.down, layer.norm2))]
    for module in readers:
        module.weight.copy_(module.weight[:, order])
    for parameter in (p for module in writers for p in (module.weight, module.bias)):
        parameter.copy_(parameter[order])
    return student


def names(n):
    """This module's parameter -> transformers' names of what is stacked in it, for layer n."""
    at = f"encoder.layer.{n}."
    out = {}
    for kind in ("weight", "bias"):
        out[f"layers.{n}.qkv.{kind}"] = [f"{at}attention.self.{x}.{kind}" for x in ("query", "key", "value")]
        out[f"layers.{n}.out.{kind}"] = [f"{at}attention.output.dense.{kind}"]
        out[f"layers.{n}.norm1.{kind}"] = [f"{at}attention.output.LayerNorm.{kind}"]
        out[f"layers.{n}.up.{kind}"] = [f"{at}intermediate.dense.{kind}"]
        out[f"layers.{n}.down.{kind}"] = [f"{at}output.dense.{kind}"]
        out[f"layers.{n}.norm2.{kind}"] = [f"{at}output.LayerNorm.{kind}"]
    return out


def from_transformers(path, keep=None):
    """Reads model.safetensors of a BertModel; `keep` chooses its layers in order."""
    w = load_file(path)
    total = 1 + max(int(k.split(".")[2]) for k in w if k.startswith("encoder.layer."))
    keep = list(range(total)) if keep is None else keep
    state = {"norm.weight": w["embeddings.LayerNorm.weight"], "norm.bias": w["embeddings.LayerNorm.bias"],
             # Every token is of type 0 here, so its type vector goes into the word vectors.
             "words.weight": w["embeddings.word_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][:1],
             "positions.weight": w["embeddings.position_embeddings.weight"]}
    for new, old in enumerate(keep):
        for (ours, _), (_, theirs) in zip(names(new).items(), names(old).items()):
            state[ours] = torch.cat([w[t] for t in theirs])
    width = state["norm.weight"].shape[0]
    model = Bert(state["words.weight"].shape[0], len(keep), width, width // HEAD, state["layers.0.up.weight"].shape[0],
                 state["positions.weight"].shape[0])
    model.load_state_dict(state)
    return model


def layer_from_transformers(stored, n):
    """This module's tensors of layer n from transformers', without heads that are zeros."""
    own = {ours: torch.cat([stored[t] for t in theirs]) for ours, theirs in names(n).items()}
    used = own[f"layers.{n}.out.weight"].ne(0).any(0).view(-1, HEAD).any(1).repeat_interleave(HEAD)
    own[f"layers.{n}.out.weight"] = own[f"layers.{n}.out.weight"][:, used]
    for kind in ("weight", "bias"):
        own[f"layers.{n}.qkv.{kind}"] = own[f"layers.{n}.qkv.{kind}"][used.repeat(3)]
    return own


def to_transformers(model):
    """State dict under transformers' names, float32. Heads that are not there are zeros: every reader knows the shapes then, and
    nothing comes of them."""
    own = {k: v.detach().float().cpu() for k, v in model.state_dict().items()}
    out = {"embeddings.word_embeddings.weight": own["words.weight"],
           "embeddings.position_embeddings.weight": own["positions.weight"],
           "embeddings.token_type_embeddings.weight": torch.zeros(2, own["norm.weight"].shape[0]),
           "embeddings.LayerNorm.weight": own["norm.weight"], "embeddings.LayerNorm.bias": own["norm.bias"]}
    for n in range(len(model.layers)):
        layer = {ours: own[ours] for ours in names(n)}
        missing = model.layers[n].out.out_features - model.layers[n].out.in_features
        layer[f"layers.{n}.out.weight"] = F.pad(layer[f"layers.{n}.out.weight"], (0, missing))
        for kind, padding in (("weight", (0, 0, 0, missing)), ("bias", (0, missing))):
            parts = layer[f"layers.{n}.qkv.{kind}"].chunk(3)
            layer[f"layers.{n}.qkv.{kind}"] = torch.cat([F.pad(part, padding) for part in parts])
        for ours, theirs in names(n).items():
            out.update(zip(theirs, layer[ours].chunk(len(theirs))))
    return {k: v.contiguous() for k, v in out.items()}
