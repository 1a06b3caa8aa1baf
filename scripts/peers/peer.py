"""One peer as a process: loads a model, then answers each line of standard input with one line of JSON.

  peer.py KIND PRECISION MODEL TEXTS QUERY THREADS ONNX [DEVICE MAX_LENGTH]

Requests: `throughput BATCH STREAMS [COUNT]`, `latency`, `vectors FILE`, `memory`, and for sentence-transformers on a device
`file BATCH OUT` (read the texts, encode, write the vectors) and `peak` (the largest rate of a product of matrices). Texts are tokenised within the time that is
measured, sorted by length and padded to the longest of their batch, which is what serves every peer best.
"""
import json
import os
import sys
import time

KIND, PRECISION, MODEL, TEXTS, QUERY, THREADS, ONNX, *REST = sys.argv[1:]
DEVICE, MAX_LENGTH = REST or ("cpu", None)
THREADS = int(THREADS)
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.environ["TOKENIZERS_PARALLELISM"] = "true" if THREADS > 1 else "false"
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402  (after the variables that size its threads)
from tokenizers import Tokenizer  # noqa: E402

SINGLES = 200


class Tokens:
    """The model's own tokenizer, cutting where sentence-transformers does."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        with open(os.path.join(folder, "sentence_bert_config.json")) as file:
            longest = json.load(file)["max_seq_length"]
        self.tokenizer.enable_truncation(longest)
        self.tokenizer.no_padding()

    def __call__(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)]


def padded(rows):
    """Ids, mask and segments of a batch."""
    width = max(map(len, rows))
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, numbers in enumerate(rows):
        ids[row, : len(numbers)] = numbers
        mask[row, : len(numbers)] = 1
    return ids, mask, np.zeros_like(ids)


def pooled(hidden, mask):
    """The mean over tokens, scaled to length one."""
    mean = np.einsum("bth,bt->bh", hidden, mask.astype(np.float32)) / mask.sum(1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class Torch:
    def __init__(self):
        import torch
        from transformers import AutoModel

        torch.set_num_threads(THREADS)
        self.torch = torch
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[PRECISION]
        self.model = AutoModel.from_pretrained(MODEL, dtype=dtype, attn_implementation="sdpa").eval()

    def run(self, batches, streams):
        torch = self.torch
        rows = []
        with torch.inference_mode():
            for ids, mask, segments in batches:
                ids, mask, segments = (torch.from_numpy(part) for part in (ids, mask, segments))
                hidden = self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments).last_hidden_state
                weights = mask.unsqueeze(-1).to(torch.float32)
                mean = (hidden.float() * weights).sum(1) / weights.sum(1)
                rows.append(torch.nn.functional.normalize(mean, dim=1).numpy())
        return rows


class SentenceTransformers:
    """The library that people call; it tokenises, sorts and pads by itself."""

    def __init__(self):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(THREADS)
        self.torch = torch
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[PRECISION]
        self.model = SentenceTransformer(MODEL, device=DEVICE, model_kwargs={"dtype": self.dtype})
        # Whatever stands after the transformer is loaded in f32.
        self.model.to(self.dtype)
        if MAX_LENGTH:
            self.model.max_seq_length = int(MAX_LENGTH)

    def whole(self, texts, batch):
        return self.model.encode(texts, batch_size=batch, show_progress_bar=False, normalize_embeddings=True)

    def peak(self):
        """Operations a second of the best of a few square products, as long as the device needs to settle."""
        torch, sizes = self.torch, (4096, 8192, 16384) if DEVICE != "cpu" else (1024,)
        settle = torch.cuda.synchronize if DEVICE != "cpu" else lambda: None
        best = 0.0
        for size in sizes:
            one, other = (torch.randn(size, size, device=DEVICE).to(self.dtype) for _ in range(2))
            one @ other
            settle()
            for _ in range(5):
                times = 10
                start = time.perf_counter()
                for _ in range(times):
                    one @ other
                settle()
                best = max(best, times * 2 * size**3 / (time.perf_counter() - start))
        return best


class OnnxRuntime:
    def __init__(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(ONNX, options, providers=["CPUExecutionProvider"])

    def run(self, batches, streams):
        names = ("input_ids", "attention_mask", "token_type_ids")
        return [pooled(self.session.run(None, dict(zip(names, batch)))[0], batch[1]) for batch in batches]


class OpenVino:
    def __init__(self):
        import openvino

        self.openvino = openvino
        self.core = openvino.Core()
        self.compiled = {}

    def model(self, streams):
        if streams not in self.compiled:
            hint = {"f32": "f32", "bf16": "bf16"}[PRECISION]
            settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": streams}
            self.compiled[streams] = self.core.compile_model(ONNX, "CPU", settings)
        return self.compiled[streams]

    def run(self, batches, streams):
        model = self.model(streams)
        names = ("input_ids", "attention_mask", "token_type_ids")
        rows = [None] * len(batches)

        def take(request, at):
            rows[at] = pooled(request.get_output_tensor(0).data, batches[at][1])

        queue = self.openvino.AsyncInferQueue(model, streams)
        queue.set_callback(take)
        for at, batch in enumerate(batches):
            queue.start_async(dict(zip(names, batch)), at)
        queue.wait_all()
        return rows


PEERS = {"torch": Torch, "sentence-transformers": SentenceTransformers, "onnxruntime": OnnxRuntime, "openvino": OpenVino}


def encode(peer, tokens, texts, batch, streams):
    if hasattr(peer, "whole"):
        return peer.whole(texts, batch)
    ids = tokens(texts)
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]), reverse=True)
    batches = [padded([ids[at] for at in order[first : first + batch]]) for first in range(0, len(order), batch)]
    rows = np.concatenate(peer.run(batches, streams))
    vectors = np.empty_like(rows)
    vectors[order] = rows
    return vectors


def text_of(line):
    paper = json.loads(line)
    return paper.get("text") or f"{paper.get('title', '')}. {paper.get('abstract', '')}"


def peak_bytes():
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def read_texts():
    with open(TEXTS, encoding="utf8") as file:
        return [text_of(line) for line in file]


def main():
    texts = read_texts()
    peer, tokens = PEERS[KIND](), Tokens(MODEL)
    encode(peer, tokens, texts[:32], 8, 1)

    def answer(request, *rest):
        if request == "throughput":
            batch, streams, *count = map(int, rest)
            some = texts[: count[0]] if count else texts
            start = time.perf_counter()
            encode(peer, tokens, some, batch, streams)
            seconds = time.perf_counter() - start
            return {"seconds": seconds, "rate": len(some) / seconds}
        if request == "file":
            start = time.perf_counter()
            vectors = encode(peer, tokens, read_texts(), int(rest[0]), 1)
            np.save(rest[1], vectors.astype(np.float32))
            seconds = time.perf_counter() - start
            return {"seconds": seconds, "rate": len(vectors) / seconds}
        if request == "peak":
            return {"flops": peer.peak()}
        if request == "latency":
            times = []
            for _ in range(SINGLES):
                start = time.perf_counter()
                encode(peer, tokens, [QUERY], 1, 1)
                times.append(time.perf_counter() - start)
            return {"seconds": sorted(times)[SINGLES // 2], "tokens": len(tokens([QUERY])[0])}
        if request == "vectors":
            encode(peer, tokens, texts, 16, 1).astype("<f4").tofile(rest[0])
            return {}
        if request == "memory":
            return {"peak_bytes": peak_bytes()}
        raise ValueError(request)

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*line.split())), flush=True)


if __name__ == "__main__":
    main()
