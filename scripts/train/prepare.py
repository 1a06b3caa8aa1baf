#!/usr/bin/env python3
"""Reads the corpus once and writes what every later step needs, tokenised.

  prepare.py --corpus papers.jsonl.zst --tokenizer TEACHER/tokenizer.json --out WORK

WORK/tokens.npy   all WordPiece ids, uint16, no special tokens
WORK/papers.npz   starts (2n+1: title, abstract, title, ...), field, label lists, held-out flags, order
WORK/held.jsonl   number, id, source, group and keywords of the held-out papers; read by the evaluation only

Holds no text: the corpus is other people's words. Rows are shuffled by a fixed seed, so a prefix is a sample.
The names of reviews and workshops go to `group`, which training never reads. --papers and --longest make a smaller copy.
"""
import argparse
import collections
import io
import itertools
import json
import os
import re

import numpy as np
import zstandard
from tokenizers import Tokenizer

FIELDS = ["cs", "engineering", "statistics", "mathematics", "physics", "condensed", "astronomy", "particles",
          "quantum", "medicine", "biology", "economics", "earth", "humanities", "language", "vision"]
BY_SOURCE = {"acl_anthology": "language", "miniconf2020": "cs", "asreview": "medicine", "bc5cdr": "medicine",
             "nutrition_pubmed": "medicine", "covid19_preprints": "medicine", "biofactoid_pubmed": "biology",
             "eupmc_pastoral": "earth", "icrs2026": "earth", "nber_summer_institute": "economics",
             "archaeology_wos": "humanities", "aau_scopus": "economics", "ecology_capture_recapture": "biology",
             "slr_exports": "earth", "feed_mkt": "physics"}
BY_ARCHIVE = {"cs": "cs", "eess": "engineering", "stat": "statistics", "math": "mathematics", "physics": "physics",
              "nlin": "physics", "nucl-th": "particles", "nucl-ex": "particles", "hep-th": "particles",
              "hep-ph": "particles", "hep-ex": "particles", "hep-lat": "particles", "gr-qc": "astronomy",
              "astro-ph": "astronomy", "cond-mat": "condensed", "quant-ph": "quantum", "math-ph": "mathematics",
              "q-bio": "biology", "q-fin": "economics", "econ": "economics"}
BY_VENUE = {"cvpr": "vision", "iccv": "vision", "eccv": "vision", "wacv": "vision", "3dv": "vision", "bmvc": "vision",
            "emnlp": "language", "acl": "language", "naacl": "language", "coling": "language", "colm": "language",
            "icra": "engineering", "iros": "engineering", "rss": "engineering", "corl": "engineering"}
# Never trained on: what the tasks of heldout.py are made of.
HELD_SOURCES = {"bc5cdr", "nber_summer_institute", "miniconf2020", "nutrition_pubmed", "icrs2026", "feed_mkt"}
MIN_LABEL = 30


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--papers", type=int, default=0, help="a sample of this many; 0: all")
    p.add_argument("--longest", type=int, default=0, help="tokens kept of an abstract; 0: all")
    return p.parse_args()


def rows(path):
    with open(path, "rb") as f:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), "utf8"):
            yield json.loads(line)


def venue(label):
    return re.sub(r"\d{4}$", "", label)


def labels(row):
    found = row.get("labels") or []
    source = row["source"]
    if source in HELD_SOURCES or source == "covid19_preprints":
        return []
    if source == "paperlists":
        return ["venue:" + venue(found[0])]
    if source in ("arxiv_daily", "arxiv_archive", "arxiv_daily_more"):
        return ["arxiv:" + x for x in found]
    return ["subject:" + x.lower() for x in found]


def field(row):
    source, found = row["source"], row.get("labels") or [""]
    if source.startswith("arxiv"):
        if found[0] in ("cs.CL", "cs.CV"):
            return {"cs.CL": "language", "cs.CV": "vision"}[found[0]]
        if found[0] in ("physics.geo-ph", "physics.ao-ph"):
            return "earth"
        return BY_ARCHIVE.get(found[0].split(".")[0], "cs")
    if source == "paperlists":
        return BY_VENUE.get(venue(found[0]), "cs")
    return BY_SOURCE[source]


def group(row):
    """Name of the review or of the workshop volume; only the held-out tasks may look at it."""
    parts = row["id"].split(":")
    if row["source"] == "asreview":
        return parts[1]
    if row["source"] == "acl_anthology":
        match = re.match(r"(\d{4})\.([a-z0-9]+)-", parts[1])
        return match.group(2) if match else parts[1].rsplit("-", 1)[0]
    return (row.get("labels") or [""])[0]


def held(row, name):
    """Whole sources, every other review, and a fifth of the workshops."""
    if row["source"] in HELD_SOURCES:
        return True
    number = sum(name.encode())
    return (row["source"] == "asreview" and number % 2 == 0) or (row["source"] == "acl_anthology" and number % 5 == 0)


def described(row):
    """What is kept of a row beside its tokens."""
    name = group(row)
    return {"id": row["id"], "source": row["source"], "group": name, "keywords": row.get("keywords") or [],
            "labels": labels(row), "field": field(row), "held": held(row, name)}


def tokenised(tokenizer, batch, longest):
    """Title and abstract ids of each row, alternating; abstracts cut at `longest` if it is not 0."""
    texts = [text for row in batch for text in (row["title"], row["abstract"])]
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        yield np.array(encoding.ids[:longest or None], "u2")


def read(args):
    """Pieces and descriptions of the chosen rows, in shuffled order."""
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    count = sum(1 for _ in rows(args.corpus))
    place = np.argsort(np.random.default_rng(args.seed).permutation(count))
    chosen = ((place[n], row) for n, row in enumerate(rows(args.corpus)) if place[n] < (args.papers or count))
    pieces, found = {}, {}
    while batch := list(itertools.islice(chosen, 4096)):
        ids = tokenised(tokenizer, [row for _, row in batch], args.longest)
        for at, row in batch:
            pieces[at], found[at] = (next(ids), next(ids)), described(row)
    return [piece for at in sorted(pieces) for piece in pieces[at]], [found[at] for at in sorted(found)]


def offsets(lists):
    return np.concatenate([[0], np.cumsum([len(x) for x in lists])])


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    pieces, found = read(args)
    counts = collections.Counter(label for paper in found for label in paper["labels"])
    names = sorted(label for label, count in counts.items() if count >= MIN_LABEL)
    number = {name: n for n, name in enumerate(names)}
    lists = [[number[x] for x in paper["labels"] if x in number] for paper in found]
    np.save(f"{args.out}/tokens.npy", np.concatenate(pieces))
    np.savez(f"{args.out}/papers.npz", starts=offsets(pieces), held=np.array([paper["held"] for paper in found]),
             field=np.array([FIELDS.index(paper["field"]) for paper in found], "u1"), label_names=np.array(names),
             label=np.array([x for numbers in lists for x in numbers], "i4"), label_starts=offsets(lists))
    with open(f"{args.out}/held.jsonl", "w", encoding="utf8") as f:
        for n, paper in enumerate(found):
            if paper["held"]:
                f.write(json.dumps({"number": n, **{k: paper[k] for k in ("id", "source", "group", "keywords")}}) + "\n")
    for name in FIELDS:
        print(f"{name:12s} {sum(paper['field'] == name for paper in found):7d}")
    print(f"{len(found)} papers, {sum(map(len, pieces))} tokens, {len(names)} labels, {sum(p['held'] for p in found)} held out")


if __name__ == "__main__":
    main()
