"""Measures this program on a GPU beside sentence-transformers, holds the figures against their bars, and writes the table.
`scripts/gpu-check` starts it.

Every model is run on texts of 220 and of 512 tokens: from a file into a collection, from shards to shards, and the network
alone, with its share of the rate that the largest product of matrices reaches in the same run. K-means assignment and a
search of many queries are measured on the same machine's processor too, which they must agree with. sentence-transformers gets
the same texts on the same device, in bf16 and in f16, each at the best of its batch sizes; its time starts when it is
loaded, ours with the process.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import find_gpu
import shapes
from compare import Program, machine, say

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCS = ROOT / "docs/performance.md"
BEGIN, END = "<!-- gpu-check: begin -->", "<!-- gpu-check: end -->"

MINILM, DEFAULT = "all-MiniLM-L6-v2", "the default model"
# How many texts of 220 tokens a model gets for one of MiniLM's: larger ones fewer, yet so many that the start of the process,
# which our time includes, should be little of it.
PORTIONS = {MINILM: 1.0, DEFAULT: 1.0, "BERT-base shape": 0.5, "BERT-large shape": 0.2}
LENGTHS = (220, 512)
BATCHES = (64, 128, 256, 512)
SHARDS = 16
PARITY_TEXTS = 256

# Rows of 384 numbers, the centroids that they are assigned to, and queries of a search among them.
SELECTIONS, TRIAL_SELECTIONS = (1_000_000, 1_000, 4_096), (20_000, 100, 256)

LEAST_COSINE, LEAST_TIMES, LEAST_SHARE, LEAST_RATE, CORES = 0.9995, 3.0, 0.4, 30_000, 16


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory(prefix="thematic-gpu-", dir=arguments.scratch) as folder:
        run = Run(arguments, Path(folder))
        run.peak = run.measure_peak()
        rows = [run.row(model, tokens) for model in arguments.models for tokens in arguments.lengths]
        section, missed = report(run, rows, run.measure_selections())
    print(section)
    docs = arguments.docs or (DOCS if arguments.device != "cpu" else None)
    if docs:
        write_between(docs, section)
        say(f"wrote the table to {docs}")
    else:
        say("a trial on the processor: nothing was written")
    # The bars are a GPU's.
    if missed and arguments.device != "cpu":
        sys.exit("missed: " + "; ".join(missed))


def parse(words=None):
    parser = argparse.ArgumentParser(
        prog="scripts/gpu-check", formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__.split("\n\n")[1],
        epilog=f"Exit code 0: every bar held; 1: one was missed; {find_gpu.NO_GPU}: there is no GPU, and nothing was written.",
    )
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--bench", help=argparse.SUPPRESS)
    parser.add_argument("--select", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda:0", help="cuda:N, or cpu for a trial that writes nothing [cuda:0]")
    parser.add_argument("--minilm", default=os.environ.get("THEMATIC_MINILM"), help="a folder of all-MiniLM-L6-v2 [THEMATIC_MINILM]")
    parser.add_argument("--count", type=int, default=100_000, help="texts of 220 tokens for MiniLM; others get fewer [100000]")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts [3]")
    parser.add_argument("--models", type=names(PORTIONS), default=list(PORTIONS), help="of: " + ", ".join(PORTIONS))
    parser.add_argument("--lengths", type=names({str(n): n for n in LENGTHS}), default=[str(n) for n in LENGTHS], help="220,512")
    parser.add_argument("--docs", type=Path, help="the file whose section is replaced [docs/performance.md, in a trial none]")
    parser.add_argument("--scratch", type=Path, help="a folder with some gigabytes free [the system's]")
    arguments = parser.parse_args(words)
    arguments.lengths = [int(length) for length in arguments.lengths]
    if not arguments.minilm or not Path(arguments.minilm, "model.safetensors").is_file():
        parser.error("no model: give --minilm FOLDER, or set THEMATIC_MINILM, to a folder of all-MiniLM-L6-v2")
    if arguments.docs:
        find_markers(arguments.docs, arguments.docs.read_text())
    return arguments


def names(known):
    def parse_names(text):
        found = [name.strip() for name in text.split(",")]
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"`{name}` is none of: {', '.join(known)}")
        return found

    return parse_names


class Run:
    """The programs, the folder to work in, and what all rows share."""

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.models = {}
        self.peak = None

    def model(self, name):
        """The folder of a model, made when it is first asked for."""
        if name not in self.models:
            target = self.folder / name.replace(" ", "-")
            if name == MINILM:
                target = Path(self.arguments.minilm).resolve()
            elif name == DEFAULT:
                self.thematic("models", "export", target)
            else:
                say(f"making a model of the {name}")
                shapes.make_model(target, shapes.SHAPES[name], self.arguments.minilm)
            self.models[name] = target
        return self.models[name]

    def thematic(self, *words):
        """Runs the program; gives its seconds and what it printed."""
        command = [str(word) for word in (self.arguments.program, *words)]
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"`{' '.join(command)}` failed with code {done.returncode}:\n{done.stderr}")
        return seconds, done.stdout

    def peer(self, precision, model, texts, tokens):
        command = [
            sys.executable, HERE / "peer.py", "sentence-transformers", precision, model, texts, "tides", os.cpu_count(), "-",
            self.arguments.device, tokens,
        ]
        return Program(f"sentence-transformers, {precision}", command)

    def measure_peak(self):
        """Operations a second of a bf16 product on this device, by PyTorch."""
        texts = self.folder / "one.jsonl"
        shapes.write_texts(texts, self.arguments.minilm, LENGTHS[0], 32, seed=0)
        peer = self.peer("bf16", Path(self.arguments.minilm).resolve(), texts, LENGTHS[0])
        peak = peer.ask("peak")["flops"]
        peer.end()
        say(f"peak of a bf16 product: {peak / 1e12:.3g} TFLOP/s")
        return peak

    def measure_selections(self):
        """K-means assignment and a search of many queries: seconds on the processor and on the GPU, and what differs."""
        sizes = TRIAL_SELECTIONS if self.arguments.device == "cpu" else SELECTIONS
        say(f"{sizes[0]:,} rows with {sizes[1]:,} centroids, and with {sizes[2]:,} queries")
        bench = Program("the selections", [self.arguments.select, self.arguments.device, *sizes])
        bench.end()
        return bench.first

    def row(self, name, tokens):
        model = self.model(name)
        count = max(64, int(self.arguments.count * PORTIONS[name] * LENGTHS[0] / tokens))
        say(f"{name}, {count:,} texts of {tokens} tokens")
        texts = self.folder / "texts.jsonl"
        shapes.write_texts(texts, model, tokens, count, seed=tokens)
        row = {"model": name, "tokens": tokens, "count": count}
        row["cosines"] = self.parity(model, texts, tokens)
        options = ["--model", model, "--device", self.arguments.device, "--max-length", tokens, "--offline", "--json"]
        row["file"] = self.median_rate(count, lambda: self.embed_file(texts, options, count, tokens))
        row["shards"] = self.median_rate(count, lambda: self.embed_shards(texts, options, count, tokens))
        row.update(self.network(model, texts, tokens))
        row["peers"] = {precision: self.peer_rate(precision, model, texts, tokens) for precision in ("bf16", "f16")}
        return row

    def median_rate(self, count, measure):
        return count / statistics.median(measure() for _ in range(self.arguments.rounds))

    def embed_file(self, texts, options, count, tokens):
        for left in self.folder.glob("papers.db*"):
            left.unlink()
        seconds, said = self.thematic("embed", texts, "-c", self.folder / "papers.db", *options)
        return checked(seconds, json.loads(said), count, tokens)

    def embed_shards(self, texts, options, count, tokens):
        source, target = self.folder / "in", self.folder / "out"
        subprocess.run(["rm", "-rf", source, target], check=True)
        source.mkdir()
        lines = texts.read_bytes().splitlines(keepends=True)
        for shard in range(min(SHARDS, len(lines))):
            (source / f"part-{shard:02}.jsonl").write_bytes(b"".join(lines[shard::SHARDS]))
        seconds, said = self.thematic("embed", "--shards", source, target, *options)
        return checked(seconds, json.loads(said), count, tokens)

    def network(self, model, texts, tokens):
        """The network alone on prepared batches: texts a second, and the share of the peak."""
        command = [
            self.arguments.bench, "--serve", "--model", model, "--texts", texts, "--device", self.arguments.device,
            "--max-length", tokens, "--precision", "bf16",
        ]
        bench = Program("the network alone", command)
        answers = [bench.ask("network") for _ in range(self.arguments.rounds)]
        bench.end()
        answer = sorted(answers, key=lambda answer: answer["seconds"])[len(answers) // 2]
        done = shapes.operations(shapes.shape_of(model), answer["tokens"], answer["squares"])
        return {"network": answer["texts"] / answer["seconds"], "share": done / answer["seconds"] / self.peak}

    def peer_rate(self, precision, model, texts, tokens):
        """From the file to a file, at the best of its batch sizes."""
        peer = self.peer(precision, model, texts, tokens)
        some = max(BATCHES)
        batch = max(BATCHES, key=lambda batch: peer.ask(f"throughput {batch} 1 {some}")["rate"])
        rates = [peer.ask(f"file {batch} {self.folder / 'peer.npy'}")["rate"] for _ in range(self.arguments.rounds)]
        peer.end()
        say(f"{peer.name}: batches of {batch}")
        return {"rate": statistics.median(rates), "batch": batch}

    def parity(self, model, texts, tokens):
        """The least cosine of each precision's vectors on the device with those of the processor in f32."""
        some = self.folder / "some.jsonl"
        some.write_bytes(b"".join(texts.read_bytes().splitlines(keepends=True)[:PARITY_TEXTS]))

        def vectors(device, precision):
            out = self.folder / "some.npy"
            common = ["--model", model, "--max-length", tokens, "--offline", "--quiet"]
            self.thematic("embed", some, "-o", out, "--device", device, "--precision", precision, *common)
            return np.load(out).astype(np.float64)

        exact = vectors("cpu", "f32")
        precisions = ("bf16", "f32") if self.arguments.device == "cpu" else ("bf16", "f16", "f32")
        return {precision: float((vectors(self.arguments.device, precision) * exact).sum(1).min()) for precision in precisions}


def checked(seconds, said, count, tokens):
    """The seconds of a run that did all it was given."""
    found = (said["papers"], said["tokens"])
    if found != (count, count * tokens):
        sys.exit(f"{count} texts of {tokens} tokens were given, and {found[0]} with {found[1]} tokens in all came out")
    return seconds


def report(run, rows, selections):
    """The section for the documentation, and the bars that were missed."""
    lines = [
        f"`scripts/gpu-check --count {run.arguments.count} --rounds {run.arguments.rounds}` on {device_name(run)}; {machine()}, "
        f"{cores()} cores. {run.thematic('--version')[1].strip()}; {versions()}.",
        f"Largest rate of a bf16 product there: {run.peak / 1e12:.3g} TFLOP/s. Texts a second, medians of {run.arguments.rounds}:",
        "",
        "| model | tokens | texts | file to store | shards to shards | network alone | of the peak | sentence-transformers, bf16 "
        "| f16 | file to store, times the better | least cosine, bf16 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(table_line(row) for row in rows),
        "",
    ]
    missed = []
    lines[-1:] = ["", *selection_lines(selections), ""]
    for what, figure, sign, bar in [*bars(rows), *selection_bars(selections)]:
        held = figure >= bar if sign == ">=" else figure <= bar
        lines.append(f"- {'held' if held else 'MISSED'}: {what}: {figure:,.5g} (bar: {sign} {bar:,g})")
        if not held:
            missed.append(what)
    if cores() != CORES:
        lines.append(f"- The rate from shards to shards is meant for {CORES} cores; here were {cores()}.")
    return "\n".join(lines), missed


def selection_lines(found):
    """The table of selections, in seconds; on a GPU those with its rows there already, and with rows that are sent."""
    yield f"{found['rows']:,} vectors of 384 numbers, seconds, the least of three rounds:"
    yield ""
    yield "| | processor | GPU, vectors there | GPU, vectors sent | times the processor, vectors there | different |"
    yield "|---|---|---|---|---|---|"
    names = {
        "assignment": f"k-means assignment, {found['centroids']:,} themes",
        "search": f"search, {found['queries']:,} queries, 10 best of each",
    }
    for key, name in names.items():
        times = found[key]
        on_gpu = [f"{times[where]:.3f}" if where in times else "" for where in ("held", "sent")]
        ratio = f"{times['processor'] / times['held']:.1f}" if "held" in times else ""
        yield "| " + " | ".join([name, f"{times['processor']:.3f}", *on_gpu, ratio, str(times.get("different", ""))]) + " |"


def selection_bars(found):
    for key, name in {"assignment": "k-means assignment", "search": "search of many queries"}.items():
        if "different" in found[key]:
            yield f"{name}: results that differ from the processor's by more than rounding", found[key]["different"], "<=", 0


def table_line(row):
    peers = row["peers"]
    cells = [
        row["model"], row["tokens"], f"{row['count']:,}", f"{row['file']:,.0f}", f"{row['shards']:,.0f}", f"{row['network']:,.0f}",
        f"{row['share']:.0%}", f"{peers['bf16']['rate']:,.0f}", f"{peers['f16']['rate']:,.0f}", f"{times(row):.2f}",
        f"{row['cosines']['bf16']:.6f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def times(row):
    return row["file"] / max(peer["rate"] for peer in row["peers"].values())


def bars(rows):
    for row in rows:
        name = f"{row['model']}, {row['tokens']} tokens"
        yield f"{name}: file to store, times sentence-transformers", times(row), ">=", LEAST_TIMES
        for precision, cosine in row["cosines"].items():
            yield f"{name}: least cosine of {precision} to the processor's f32", cosine, ">=", LEAST_COSINE
        if row["model"] in shapes.SHAPES:
            yield f"{name}: share of the peak, the network alone", row["share"], ">=", LEAST_SHARE
        if (row["model"], row["tokens"]) == (MINILM, LENGTHS[0]):
            yield f"{name}: texts a second from shards to shards", row["shards"], ">=", LEAST_RATE


def find_markers(path, text):
    """Where the section lies in a file: after the first marker, before the second."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        sys.exit(f"{path} has no section between `{BEGIN}` and `{END}`: put these lines where the table belongs")
    return begin + len(BEGIN), end


def write_between(path, section):
    """Replaces the section of a file, which appears whole or not at all."""
    text = path.read_text()
    begin, end = find_markers(path, text)
    part = path.with_name(path.name + ".part")
    part.write_text(f"{text[:begin]}\n{section}\n{text[end:]}")
    part.replace(path)


def device_name(run):
    if run.arguments.device == "cpu":
        return "the processor (a trial of the steps, no figures of a GPU)"
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", f"--id={run.arguments.device.partition(':')[2] or 0}"]
    try:
        name, driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().split(", ")
    except (OSError, subprocess.CalledProcessError, ValueError):
        return f"{run.arguments.device}, whose name `nvidia-smi` does not tell"
    return f"one {name}, driver {driver}"


def versions():
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("sentence-transformers", "transformers", "torch"))


def cores():
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
