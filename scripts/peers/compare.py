"""Measures this program beside its peers, in turns, and prints the table. `scripts/bench-peers` starts it.

Every program is a process that loads its model once and is warmed up; a round asks each of them in turn to encode all
texts, tokenization included. Figures are medians over rounds; ratios are of medians of one run.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
BATCHES = (8, 16, 32)
MB = 1e6

# Twelve tokens with the two marks.
QUERY = "graph neural networks for protein folding and rational drug discovery"


class Program:
    """A process that answers requests, and what it has answered."""

    def __init__(self, name, command, environment=None):
        self.name = name
        self.rates, self.latencies = [], []
        self.setting = ""
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, env={**os.environ, **(environment or {})},
        )
        self.first = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early, with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.read()

    def throughput(self):
        return self.ask(f"throughput {self.setting}".strip())["rate"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    @property
    def rate(self):
        return statistics.median(self.rates)

    @property
    def latency(self):
        return statistics.median(self.latencies)


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="thematic-peers-") as folder:
        texts = Path(folder, "texts.jsonl")
        n_texts = take_texts(arguments, texts)
        plain, fused = Path(folder, "plain.onnx"), Path(folder, "fused.onnx")
        export = [sys.executable, HERE / "export.py", arguments.model, plain, fused]
        if subprocess.run(export, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            sys.exit(f"{arguments.model} cannot be exported as ONNX: run {HERE / 'export.py'} to see why")
        ours = start_ours(arguments, texts)
        peers = start_peers(arguments, texts, plain, fused)
        try:
            report(arguments, n_texts, ours, peers, Path(folder))
        finally:
            for program in [*ours.values(), *peers.values()]:
                program.end()


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench-peers", description=__doc__.split("\n\n")[1])
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--model", default=os.environ.get("THEMATIC_MINILM"), help="a folder of all-MiniLM-L6-v2 [THEMATIC_MINILM]")
    parser.add_argument("--texts", type=Path, help="JSON Lines [abstracts of THEMATIC_SHARED's corpus]")
    parser.add_argument("--count", type=int, default=400, help="texts to encode in a round [400]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each program [all cores]")
    parser.add_argument("--rounds", type=int, default=5, help="[5]")
    arguments = parser.parse_args()
    if not arguments.model or not Path(arguments.model, "model.safetensors").is_file():
        sys.exit("no model: give --model FOLDER, or set THEMATIC_MINILM, to a folder of all-MiniLM-L6-v2")
    if arguments.texts is None:
        shared = os.environ.get("THEMATIC_SHARED")
        corpus = Path(shared or "", "corpus/papers.jsonl.zst")
        if not shared or not corpus.is_file():
            sys.exit("no texts: give --texts FILE.jsonl, or set THEMATIC_SHARED to a folder with corpus/papers.jsonl.zst")
        arguments.texts = corpus
    return arguments


def take_texts(arguments, to):
    """The first texts of the file, spread evenly where it is the corpus, whose sources follow one another."""
    if arguments.texts.suffix == ".zst":
        plain = subprocess.run(["zstd", "-dcq", arguments.texts], capture_output=True, check=True).stdout.splitlines()
        lines = plain[:: max(1, len(plain) // arguments.count)][: arguments.count]
    else:
        lines = arguments.texts.read_bytes().splitlines()[: arguments.count]
    to.write_bytes(b"\n".join(lines) + b"\n")
    return len(lines)


def start_ours(arguments, texts):
    base = [arguments.program, "--serve", "--texts", texts, "--query", QUERY]
    minilm = [*base, "--model", Path(arguments.model).resolve(), "--threads"]
    programs = {
        "auto": Program("thematic", [*minilm, arguments.threads]),
        "f32": Program("thematic, f32", [*minilm, arguments.threads, "--precision", "f32"]),
        "bf16": Program("thematic, bf16", [*minilm, arguments.threads, "--precision", "bf16"]),
        "default": Program("thematic, its embedded model", [*base, "--threads", arguments.threads]),
    }
    if arguments.threads > 1:
        programs["one"] = Program("thematic, one thread", [*minilm, 1])
    for kind in ("auto", "default"):
        programs[kind].name += f" ({programs[kind].first['precision']} here)"
    return programs


def start_peers(arguments, texts, plain, fused):
    kinds = [
        ("PyTorch, f32", "torch", "f32"),
        ("PyTorch, bf16", "torch", "bf16"),
        ("sentence-transformers, f32", "sentence-transformers", "f32"),
        ("ONNX Runtime, f32, fused operators", "onnxruntime", "f32"),
        ("OpenVINO, f32", "openvino", "f32"),
        ("OpenVINO, bf16", "openvino", "bf16"),
    ]
    peers = {}
    for name, kind, precision in kinds:
        onnx = fused if kind == "onnxruntime" else plain
        command = [sys.executable, HERE / "peer.py", kind, precision, arguments.model, texts, QUERY, arguments.threads, onnx]
        peers[kind, precision] = Program(name, command)
        choose_batch(peers[kind, precision], arguments.threads if kind == "openvino" else 1)
    return peers


def choose_batch(program, most_streams):
    """The batch size, and for OpenVINO the number of streams, that one round each finds fastest."""
    settings = [(batch, streams) for batch in BATCHES for streams in sorted({1, most_streams})]

    def rate(setting):
        program.setting = "{} {}".format(*setting)
        return program.throughput()

    program.batch = max(settings, key=rate)
    program.setting = "{} {}".format(*program.batch)
    say(f"{program.name}: batches of {program.batch[0]}, {program.batch[1]} streams")


def report(arguments, n_texts, ours, peers, folder):
    programs = [*ours.values(), *peers.values()]
    for number in range(arguments.rounds):
        say(f"round {number + 1} of {arguments.rounds}")
        for program in programs:
            program.rates.append(program.throughput())
        for program in programs:
            program.latencies.append(program.ask("latency")["seconds"])
    tokenized = statistics.median(ours["auto"].ask("tokenize")["seconds"] for _ in range(arguments.rounds))
    query = ours["auto"].ask("latency")["tokens"]
    cosines = worst_cosines(programs, peers["torch", "f32"], folder)
    weights = Path(arguments.model, "model.safetensors").stat().st_size
    print(f"machine: {machine()}, {arguments.threads} threads; {n_texts} texts; medians of {arguments.rounds} rounds\n")
    base = peers["torch", "f32"].rate
    print(f"| | texts/s | to PyTorch f32 | worst cosine to it | {query} tokens, ms | peak MB |")
    print("|---|---|---|---|---|---|")
    for program in programs:
        memory = program.ask("memory")["peak_bytes"] / MB
        cosine = cosines.get(program.name)
        cosine = "" if cosine is None else f"{cosine:.7f}"
        batch = f", batches of {program.batch[0]}" if program.setting else ""
        batch += f", {program.batch[1]} streams" if program.setting and program.batch[1] > 1 else ""
        print(
            f"| {program.name}{batch} | {program.rate:,.1f} | {program.rate / base:.2f} | {cosine} "
            f"| {1000 * program.latency:.2f} | {memory:,.0f} |"
        )
    print()
    bars(arguments, ours, peers, cosines, tokenized, n_texts, weights)


def bars(arguments, ours, peers, cosines, tokenized, n_texts, weights):
    best_f32 = max(peers[kind, "f32"].rate for kind in ("torch", "onnxruntime"))
    quickest = min(peers[kind, "f32"].latency for kind in ("torch", "onnxruntime"))
    auto, f32 = ours["auto"], ours["f32"]
    for precision, bar in (("bf16", 4.0), ("f32", 10.0)):
        ratio = auto.rate / peers["torch", precision].rate
        if "AMX" in machine():
            check(f"default precision, to PyTorch {precision}", ratio, bar)
        else:
            print(f"       default precision, to PyTorch {precision}: {ratio:.3g} (bar with AMX: >= {bar:g})")
    check("f32, to the best of PyTorch and ONNX Runtime", f32.rate / best_f32, 1.5)
    check("f32, worst cosine", cosines[f32.name], 0.999999)
    check("default precision, worst cosine", cosines[auto.name], 0.9995)
    check("a short query, quicker than PyTorch and ONNX Runtime", quickest / auto.latency, 3.0)
    check("the embedded model, to MiniLM", ours["default"].rate / auto.rate, 1.5)
    if "one" in ours:
        check(f"{arguments.threads} threads, to one", auto.rate / ours["one"].rate, 0.925 * arguments.threads)
    share = tokenized / (arguments.threads * n_texts / auto.rate)
    check("share of tokenization in the time of all threads", share, 0.2, below=True)
    peak = ours["f32"].ask("memory")["peak_bytes"]
    check("memory beside the weights, MB", (peak - weights) / MB, 200, below=True)


def say(line):
    print(line, file=sys.stderr, flush=True)


def check(what, figure, bar, below=False):
    held = figure <= bar if below else figure >= bar
    sign = "<=" if below else ">="
    print(f"{'held  ' if held else 'MISSED'} {what}: {figure:.7g} (bar: {sign} {bar:g})")


def worst_cosines(programs, reference, folder):
    """The least cosine of each program's vectors with those of the reference; none for another model's vectors."""
    vectors = {}
    for number, program in enumerate(programs):
        if "embedded" not in program.name:
            path = folder / f"{number}.f32"
            program.ask(f"vectors {path}")
            vectors[program.name] = np.fromfile(path, dtype="<f4").astype(np.float64)
    wanted = unit(vectors[reference.name])
    return {name: float((unit(found) * wanted).sum(1).min()) for name, found in vectors.items()}


def unit(numbers):
    rows = numbers.reshape(-1, 384)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    sets = [label for flag, label in (("avx2", "AVX2"), ("avx512f", "AVX-512"), ("avx512_vnni", "AVX-512 VNNI"), ("avx512_bf16", "AVX-512 BF16"), ("amx_bf16", "AMX")) if flag in flags]
    return f"{name} ({', '.join(sets)})"


if __name__ == "__main__":
    main()
