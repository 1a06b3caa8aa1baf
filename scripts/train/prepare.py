#!/usr/bin/env python3
"""Reads the corpus once and writes what every later step needs, tokenised.

  prepare.py --corpus papers.jsonl.zst --tokenizer TEACHER/tokenizer.json --out WORK

WORK/tokens.npy   all WordPiece ids, uint16, no special tokens
WORK/papers.npz   starts (2n+1: title, abstract, title, ...), field, label lists, held-out flags, order
WORK/meta.jsonl   id, source, group and keywords of each paper; read by the evaluation only

Holds no text: the corpus is other people's words. Rows are shuffled by a fixed seed, so a prefix is a sample.
The names of reviews and sessions go to `group`, which training never reads.
"""
import argparse
import collections
import io
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


def main():
    args = arguments()
    os.makedirs(args.out, exist_ok=True)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    count = sum(1 for _ in rows(args.corpus))
    place = np.argsort(np.random.default_rng(args.seed).permutation(count))

    pieces, meta, counts = [None] * (2 * count), [None] * count, collections.Counter()
    batch = []

    def flush():
        texts = [t for n, row in batch for t in (row["title"], row["abstract"])]
        for (n, row), title, abstract in triples(batch, tokenizer.encode_batch(texts, add_special_tokens=False)):
            at = place[n]
            pieces[2 * at], pieces[2 * at + 1] = np.array(title.ids, "u2"), np.array(abstract.ids, "u2")
            name = group(row)
            meta[at] = {"id": row["id"], "source": row["source"], "group": name, "keywords": row.get("keywords") or [],
                        "labels": labels(row), "field": field(row), "held": held(row, name)}
            counts.update(meta[at]["labels"])
        batch.clear()

    for n, row in enumerate(rows(args.corpus)):
        batch.append((n, row))
        if len(batch) == 4096:
            flush()
    flush()

    names = sorted(label for label, c in counts.items() if c >= MIN_LABEL)
    number = {name: n for n, name in enumerate(names)}
    starts = np.concatenate([[0], np.cumsum([len(p) for p in pieces])])
    lists = [[number[x] for x in m["labels"] if x in number] for m in meta]
    np.save(f"{args.out}/tokens.npy", np.concatenate(pieces))
    np.savez(f"{args.out}/papers.npz", starts=starts, field=np.array([FIELDS.index(m["field"]) for m in meta], "u1"),
             held=np.array([m["held"] for m in meta]), label=np.array([x for l in lists for x in l], "i4"),
             label_starts=np.concatenate([[0], np.cumsum([len(l) for l in lists])]), label_names=np.array(names))
    with open(f"{args.out}/meta.jsonl", "w", encoding="utf8") as f:
        for m in meta:
            f.write(json.dumps({k: m[k] for k in ("id", "source", "group", "keywords", "field", "held")}) + "\n")
    for name in FIELDS:
        print(f"{name:12s} {sum(m['field'] == name for m in meta):7d}")
    print(f"{count} papers, {starts[-1]} tokens, {len(names)} labels, {sum(m['held'] for m in meta)} held out")


def triples(batch, encodings):
    return [(item, encodings[2 * n], encodings[2 * n + 1]) for n, item in enumerate(batch)]


if __name__ == "__main__":
    main()
