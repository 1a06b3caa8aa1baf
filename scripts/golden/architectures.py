"""Makes a tiny random model of every architecture under `tests/fixtures/models`, and its golden vectors.

Run by `scripts/golden-vectors` after `tiny.py`. The yardstick is sentence-transformers with transformers' own network,
save for two: what NomicBERT and GTE publish has other names and settings than transformers' classes for them, so the
folders get the published names while the vectors come from those classes; JinaBERT v2 is no part of transformers, so
`jina.py` computes it. The Rust tests compare the same folders with candle-transformers too, where that has the
architecture.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GteConfig,
    GteModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    NomicBertConfig,
    NomicBertModel,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from folders import FIXTURES, GOLDEN, module, tiny_tokenizer, write_json
from jina import JinaBert
from texts import SENTENCES, golden_texts, marked_texts


HIDDEN, HEADS, INNER, VOCABULARY = 32, 4, 48, 320
MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
USUAL = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "intermediate_size": INNER}


def shaken(network: nn.Module, seed: int) -> nn.Module:
    """Random weights everywhere: fresh biases are zero and fresh norms one, so that one not read would go unnoticed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.25)
            elif name.endswith("bias"):
                parameter.normal_(std=0.3)
            else:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
    return network.eval()


def marks(tokenizer: Tokenizer, begin: str, end: str) -> Tokenizer:
    """Puts marks around a text; there may be none at its beginning."""
    known = [(mark, tokenizer.token_to_id(mark)) for mark in (begin, end) if mark]
    single = f"{begin}:0 $A:0 {end}:0".removeprefix(":0 ")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} $B:1 {end}:1", special_tokens=known
    )
    return tokenizer


def byte_pairs(special: list[str], begin: str, end: str) -> Tokenizer:
    """The kind of RoBERTa, ModernBERT and Qwen3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return marks(tokenizer, begin, end)


def unigrams() -> Tokenizer:
    """The kind of XLM-RoBERTa: pieces with scores."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted({letter for sentence in SENTENCES for letter in sentence if letter != " "})
    words = sorted({word.strip(".,;:") for sentence in SENTENCES for word in sentence.split()}, key=lambda w: (-len(w), w))
    pieces = ["▁", *letters, *(f"▁{word}" for word in words)]
    scored = [(piece, 0.0) for piece in special]
    scored += [(piece, -2.0 - 0.01 * at) for at, piece in enumerate(dict.fromkeys(pieces))]
    tokenizer = Tokenizer(models.Unigram(scored[:VOCABULARY], unk_id=3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens([*special, "<mask>"])
    return marks(tokenizer, "<s>", "</s>")


def word_pieces(special: dict[str, str]) -> Tokenizer:
    """BERT's kind, with marks renamed."""
    described = json.loads(tiny_tokenizer().to_str())
    rename = lambda value: special.get(value, value)
    vocabulary = described["model"]["vocab"]
    described["model"]["vocab"] = {rename(piece): at for piece, at in vocabulary.items()}
    described["model"]["unk_token"] = rename("[UNK]")
    for token in described["added_tokens"]:
        token["content"] = rename(token["content"])
    described["post_processor"] = None
    return marks(Tokenizer.from_str(json.dumps(described)), rename("[CLS]"), rename("[SEP]"))


def write_folder(name: str, config: dict, weights: dict, tokenizer: Tokenizer, limit: int, pad: str, **more) -> Path:
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    dtype = more.get("dtype", torch.float16)
    save_file({key: value.to(dtype).contiguous() for key, value in weights.items()}, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    tokenizer.save(str(folder / "tokenizer.json"))
    limits = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, "pad_token": pad}
    write_json(folder / "tokenizer_config.json", {**limits, **more.get("tokens", {})})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    write_json(folder / "modules.json", [module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")])
    pooling = {"word_embedding_dimension": HIDDEN, "pooling_mode": more.get("modes", MODES)}
    write_json(folder / "1_Pooling/config.json", pooling)
    return folder


def rounded(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network with the weights that its file will hold."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.to(dtype).float())
    return network


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if "position_ids" not in name}


def config_of(config, model_type: str, *fields: str) -> dict:
    full = config.to_dict()
    return {"model_type": model_type, **{field: full[field] for field in fields}}


BERT_FIELDS = (
    "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
    "max_position_embeddings type_vocab_size layer_norm_eps pad_token_id"
).split()


def roberta() -> None:
    tokenizer = byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<s>", "</s>")
    size = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 50, "type_vocab_size": 1}
    config = RobertaConfig(num_hidden_layers=2, layer_norm_eps=1e-5, pad_token_id=1, **size, **USUAL)
    network = shaken(RobertaModel(config, add_pooling_layer=False), 21)
    # Under the prefix that checkpoints with a head have.
    weights = {f"roberta.{name}": tensor for name, tensor in weights_of(network).items()}
    write_folder("tiny-roberta", config_of(config, "roberta", *BERT_FIELDS), weights, tokenizer, 48, "<pad>")


def xlm_roberta() -> None:
    tokenizer = unigrams()
    size = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 42, "type_vocab_size": 1}
    config = XLMRobertaConfig(num_hidden_layers=2, layer_norm_eps=1e-5, pad_token_id=1, hidden_act="gelu_new", **size, **USUAL)
    network = shaken(XLMRobertaModel(config, add_pooling_layer=False), 22)
    described = config_of(config, "xlm-roberta", *BERT_FIELDS)
    write_folder("tiny-xlm-roberta", described, weights_of(network), tokenizer, 40, "<pad>")


def distilbert() -> None:
    tokenizer = word_pieces({})
    config = DistilBertConfig(
        vocab_size=VOCABULARY, dim=HIDDEN, n_layers=2, n_heads=HEADS, hidden_dim=INNER, max_position_embeddings=48
    )
    network = shaken(DistilBertModel(config), 23)
    fields = "vocab_size dim n_layers n_heads hidden_dim max_position_embeddings activation sinusoidal_pos_embds".split()
    described = config_of(config, "distilbert", *fields)
    write_folder("tiny-distilbert", described, weights_of(network), tokenizer, 48, "[PAD]", dtype=torch.float32)


def mpnet() -> None:
    tokenizer = word_pieces({"[CLS]": "<s>", "[UNK]": "<pad>", "[PAD]": "<unk>", "[SEP]": "</s>", "[MASK]": "<mask>"})
    size = {"vocab_size": VOCABULARY, "max_position_embeddings": 202, "relative_attention_num_buckets": 32}
    config = MPNetConfig(num_hidden_layers=2, layer_norm_eps=1e-5, pad_token_id=1, **size, **USUAL)
    network = shaken(MPNetModel(config, add_pooling_layer=False), 24)
    fields = [field for field in BERT_FIELDS if field != "type_vocab_size"] + ["relative_attention_num_buckets"]
    described = config_of(config, "mpnet", *fields)
    write_folder("tiny-mpnet", described, weights_of(network), tokenizer, 200, "<pad>")


def modernbert() -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = byte_pairs(special, "[CLS]", "[SEP]")
    size = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 64}
    ids = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = ModernBertConfig(num_hidden_layers=4, local_attention=12, **ids, **size, **USUAL)
    network = shaken(ModernBertModel(config), 25)
    fields = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings "
        "hidden_activation norm_eps norm_bias attention_bias mlp_bias local_attention pad_token_id"
    ).split()
    described = config_of(config, "modernbert", *fields)
    described |= {"global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    write_folder("tiny-modernbert", described, weights_of(network), tokenizer, 64, "[PAD]", dtype=torch.bfloat16)


def nomic_bert() -> nn.Module:
    config = NomicBertConfig(num_hidden_layers=2, vocab_size=VOCABULARY, max_position_embeddings=64, **USUAL)
    network = rounded(shaken(NomicBertModel(config), 26), torch.float16)
    weights = {}
    for name, tensor in weights_of(network).items():
        if "q_proj" in name:
            parts = [network.state_dict()[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            name, tensor = name.replace("self_attn.q_proj", "attn.Wqkv"), torch.cat(parts)
        elif "k_proj" in name or "v_proj" in name:
            continue
        for ours, published in [
            ("embeddings.LayerNorm", "emb_ln"),
            ("self_attn.o_proj", "attn.out_proj"),
            ("gate_proj", "fc12"),
            ("up_proj", "fc11"),
            ("down_proj", "fc2"),
            ("post_attention_layernorm", "norm1"),
            ("post_mlp_layernorm", "norm2"),
        ]:
            name = name.replace(ours, published)
        weights[name.replace("layers.", "encoder.layers.")] = tensor
    described = {
        "model_type": "nomic_bert",
        "vocab_size": VOCABULARY,
        "n_embd": HIDDEN,
        "n_head": HEADS,
        "n_inner": INNER,
        "n_layer": 2,
        "n_positions": 64,
        "type_vocab_size": 2,
        "layer_norm_epsilon": config.layer_norm_eps,
        "activation_function": "swiglu",
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None,
        "prenorm": False,
        "causal": False,
        "use_rms_norm": False,
        "qkv_proj_bias": False,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
    }
    write_folder("tiny-nomic-bert", described, weights, word_pieces({}), 64, "[PAD]")
    # The same network as transformers 5 saves it.
    fields = BERT_FIELDS + ["rope_parameters"]
    described = config_of(config, "nomic_bert", *fields)
    write_folder("tiny-nomic-bert-5", described, weights_of(network), word_pieces({}), 64, "[PAD]")
    return network


def gte() -> nn.Module:
    """Stretched by the rule of its published code: the base times the factor, all wavelengths times a root of it."""
    factor, theta, dim = 2.0, 500000.0, HIDDEN // HEADS
    config = GteConfig(
        num_hidden_layers=2, vocab_size=VOCABULARY, max_position_embeddings=64, type_vocab_size=0, pad_token_id=0, **USUAL
    )
    network = rounded(shaken(GteModel(config), 27), torch.float16)
    stretched = (theta * factor) ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim) / factor ** (2 / dim)
    network.rotary_emb.inv_freq.copy_(stretched.float())
    weights = {}
    for name, tensor in weights_of(network).items():
        state = network.state_dict()
        if "q_proj" in name:
            parts = [state[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            name, tensor = name.replace("self_attn.q_proj", "attention.qkv_proj"), torch.cat(parts)
        elif "mlp.up_proj" in name:
            tensor = torch.cat([tensor, state[name.replace("up_proj", "gate_proj")]])
            name = name.replace("up_proj", "up_gate_proj")
        elif "k_proj" in name or "v_proj" in name or "gate_proj" in name:
            continue
        for ours, published in [
            ("self_attn.o_proj", "attention.o_proj"),
            ("post_attention_layernorm", "attn_ln"),
            ("post_mlp_layernorm", "mlp_ln"),
        ]:
            name = name.replace(ours, published)
        weights[name.replace("layers.", "encoder.layer.")] = tensor
    described = {
        "model_type": "new",
        "num_hidden_layers": 2,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "type_vocab_size": 0,
        "hidden_act": "gelu",
        "layer_norm_eps": config.layer_norm_eps,
        "layer_norm_type": "layer_norm",
        "logn_attention_scale": False,
        "pack_qkv": True,
        "position_embedding_type": "rope",
        "rope_theta": theta,
        "rope_scaling": {"type": "ntk", "factor": factor},
        **USUAL,
    }
    write_folder("tiny-gte", described, weights, word_pieces({}), 64, "[PAD]")
    return network


def jina_bert() -> nn.Module:
    heads = 4
    network = rounded(shaken(JinaBert(VOCABULARY, HIDDEN, heads, INNER), 28), torch.float16)
    described = {
        "model_type": "bert",
        "num_hidden_layers": 2,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "feed_forward_type": "geglu",
        "position_embedding_type": "alibi",
        "layer_norm_eps": 1e-12,
        **USUAL,
        "num_attention_heads": heads,
    }
    write_folder("tiny-jina-bert", described, network.published(), word_pieces({}), 64, "[PAD]")
    return network


def qwen3() -> None:
    tokenizer = byte_pairs(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "", "<|endoftext|>")
    size = {"vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 64, "num_key_value_heads": 2, "head_dim": 16}
    config = Qwen3Config(num_hidden_layers=2, rope_theta=1000000.0, tie_word_embeddings=True, **size, **USUAL)
    network = shaken(Qwen3Model(config), 29)
    fields = (
        "vocab_size hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size "
        "hidden_act max_position_embeddings rms_norm_eps attention_bias tie_word_embeddings"
    ).split()
    described = config_of(config, "qwen3", *fields) | {"rope_theta": 1000000.0, "use_sliding_window": False}
    left = {"padding_side": "left"}
    folder = write_folder(
        "tiny-qwen3", described, weights_of(network), tokenizer, 64, "<|endoftext|>", tokens=left, modes=["lasttoken"]
    )
    prompts = {"query": "Instruct: Given a question, find papers\nQuery:", "document": ""}
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})


def vectors_of(network: nn.Module, folder: Path, texts: list[str]) -> torch.Tensor:
    """Of a network that sentence-transformers does not make from the folder; it pools what the network gives."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    pooling = Pooling.load(str(folder / "1_Pooling"))
    rows = []
    with torch.no_grad():
        for text in texts:
            read = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
            states = network(input_ids=read["input_ids"], attention_mask=read["attention_mask"])
            states = states if isinstance(states, torch.Tensor) else states.last_hidden_state
            features = {"token_embeddings": states, "attention_mask": read["attention_mask"]}
            rows.append(pooling(features)["sentence_embedding"][0])
    return torch.stack(rows)


def tiny_bert() -> nn.Module:
    return BertModel.from_pretrained(FIXTURES / "tiny-bert", add_pooling_layer=False, dtype=torch.float32).eval()


def low_rank_adapter() -> nn.Module:
    """A LoRA as PEFT saves it, and the tiny BERT with it: `weight + alpha / rank * B A`."""
    torch.manual_seed(31)
    network, rank, alpha, weights = tiny_bert(), 4, 8, {}
    for name in ("query", "value"):
        for layer in range(2):
            module_name = f"encoder.layer.{layer}.attention.self.{name}"
            down, up = torch.randn(rank, HIDDEN) * 0.3, torch.randn(HIDDEN, rank) * 0.3
            weights[f"base_model.model.{module_name}.lora_A.weight"] = down
            weights[f"base_model.model.{module_name}.lora_B.weight"] = up
            with torch.no_grad():
                network.get_submodule(module_name).weight += alpha / rank * up @ down
    folder = FIXTURES / "lora"
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "base_model_name_or_path": "tiny-bert", "r": rank, "lora_alpha": alpha}
    config |= {"bias": "none", "fan_in_fan_out": False, "use_rslora": False, "use_dora": False, "modules_to_save": None}
    write_json(folder / "adapter_config.json", {**config, "target_modules": ["query", "value"]})
    return network


def bottleneck_adapter() -> nn.Module:
    """A bottleneck as the adapters library saves it (SPECTER2's kind), and the tiny BERT with it."""
    torch.manual_seed(32)
    network, size, weights = tiny_bert(), 8, {}

    class Adapted(nn.Module):
        def __init__(self, output: nn.Module) -> None:
            super().__init__()
            self.output = output
            self.down, self.up = nn.Linear(HIDDEN, size), nn.Linear(size, HIDDEN)
            shaken(self.down, 33), shaken(self.up, 34)

        def forward(self, states: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
            added = self.output.dense(states)
            normal = self.output.LayerNorm(added + before)
            return self.output.LayerNorm(self.up(functional.relu(self.down(normal))) + added + before)

    for at, layer in enumerate(network.encoder.layer):
        layer.output = Adapted(layer.output)
        place = f"bert.encoder.layer.{at}.output.adapters.proximity"
        for name, part in [("adapter_down.0", layer.output.down), ("adapter_up", layer.output.up)]:
            weights |= {f"{place}.{name}.{kind}": tensor for kind, tensor in part.state_dict().items()}
    folder = FIXTURES / "bottleneck"
    folder.mkdir(exist_ok=True)
    torch.save(weights, folder / "pytorch_adapter.bin")
    settings = {"mh_adapter": False, "output_adapter": True, "reduction_factor": 4, "non_linearity": "relu"}
    settings |= {"original_ln_before": True, "original_ln_after": True, "residual_before_ln": True}
    settings |= {"adapter_residual_before_ln": False, "ln_before": False, "ln_after": False, "inv_adapter": None}
    settings |= {"cross_adapter": False, "is_parallel": False, "leave_out": [], "phm_layer": False, "scaling": 1.0}
    named = {"hidden_size": HIDDEN, "model_class": "BertAdapterModel", "model_name": "tiny-bert", "model_type": "bert"}
    write_json(folder / "adapter_config.json", {"config": settings, "name": "proximity", **named})
    return network


def pickled() -> None:
    """The tiny BERT's weights as `torch.save` writes them."""
    (FIXTURES / "pickle").mkdir(exist_ok=True)
    torch.save(load_file(FIXTURES / "tiny-bert/model.safetensors"), FIXTURES / "pickle/pytorch_model.bin")


def ids_of(folder: Path, texts: list[str]) -> dict[str, torch.Tensor]:
    """Of all texts end to end, and how many each has."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    ids = [tokenizer(text, truncation=True, max_length=limit)["input_ids"] for text in texts]
    flat = torch.tensor([one for text in ids for one in text], dtype=torch.int32)
    return {"ids": flat, "lengths": torch.tensor([len(text) for text in ids], dtype=torch.int32)}


def main() -> None:
    for make in (roberta, xlm_roberta, distilbert, mpnet, modernbert, qwen3):
        make()
    own = {"nomic-bert": nomic_bert(), "gte": gte(), "jina-bert": jina_bert()}
    own["nomic-bert-5"] = own["nomic-bert"]
    texts = golden_texts()[::4] + marked_texts()
    tensors = {}
    for folder in sorted(FIXTURES.glob("tiny-*")):
        name = folder.name.removeprefix("tiny-")
        if not (folder / "sentence_bert_config.json").exists():
            continue
        tensors |= {f"{name}/{kind}": tensor for kind, tensor in ids_of(folder, texts).items()}
        if name == "bert":
            continue
        if name in own:
            tensors[f"{name}/plain"] = vectors_of(own[name], folder, texts)
            continue
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
        options = {"convert_to_tensor": True, "batch_size": 8}
        tensors[f"{name}/plain"] = model.encode(texts, **options).float()
        if "query" in model.prompts:
            tensors[f"{name}/query"] = model.encode_query(texts, **options).float()
    for name, make in [("lora", low_rank_adapter), ("bottleneck", bottleneck_adapter)]:
        tensors[f"{name}/plain"] = vectors_of(make(), FIXTURES / "tiny-bert", texts)
    pickled()
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, GOLDEN / "architectures.safetensors")
    write_json(GOLDEN / "marked.json", marked_texts())


if __name__ == "__main__":
    main()
