"""The development suite and the held-out tasks of this repository, scored from an encoder of token ids.

An encoder takes a list of token-id arrays (no special tokens) and returns a float32 matrix. The held-out tasks are made
of papers that prepare.py keeps from training: other sources, other reviews, other workshops than the suite's.
"""
import importlib.util
import os

import numpy as np
from tokenizers import Tokenizer

from common import Papers, held_out, unit


def quality(folder):
    spec = importlib.util.spec_from_file_location("quality", os.path.join(folder, "quality.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def development_texts(folder, tokenizer):
    """Ids and token arrays of every text of the suite."""
    texts = quality(folder).texts()
    reader = Tokenizer.from_file(tokenizer)
    reader.no_truncation()
    reader.no_padding()
    coded = reader.encode_batch(list(texts.values()), add_special_tokens=False)
    return list(texts), [np.array(c.ids, "i8") for c in coded]


def development(folder, ids, vectors):
    return quality(folder).score(ids, vectors)


def overlap(keywords, x):
    """Spearman of cosine against IDF-weighted keyword overlap, over pairs that share a keyword."""
    from scipy.stats import spearmanr

    sets = [{k.lower().strip("*") for k in found} for found in keywords]
    column = {k: n for n, k in enumerate(sorted(set().union(*sets)))}
    bag = np.zeros((len(sets), len(column)), "f4")
    for n, found in enumerate(sets):
        bag[n, [column[k] for k in found]] = 1
    bag *= np.log(len(sets) / bag.sum(0))
    bag = unit(bag)
    upper = np.triu_indices(len(sets), 1)
    truth, cosine = (bag @ bag.T)[upper], (x @ x.T)[upper]
    return spearmanr(cosine[truth > 0], truth[truth > 0]).statistic


def clusters(groups, x):
    from sklearn.cluster import KMeans
    from sklearn.metrics import v_measure_score

    k = len(set(groups))
    return np.mean([v_measure_score(groups, KMeans(k, n_init=1, random_state=s).fit_predict(x)) for s in range(3)])


def neighbours(groups, x):
    """Share of the five nearest that are of the same group."""
    similarity = x @ x.T
    np.fill_diagonal(similarity, -9)
    groups = np.array(groups)
    near = np.argsort(-similarity, axis=1)[:, :5]
    mates = np.array([min(5, (groups == g).sum() - 1) for g in groups])
    hits = (groups[near] == groups[:, None]).sum(1)
    return np.mean(hits[mates > 0] / mates[mates > 0])


def title_to_abstract(x, y):
    similarity = x @ y.T
    rank = (similarity >= np.diag(similarity)[:, None]).sum(1)
    return np.where(rank <= 10, 1 / rank, 0).mean()


def capped(rows, most, least):
    """Rows of groups with at least `least` papers, the first `most` of each, in order."""
    seen, kept = {}, []
    for n in rows:
        seen.setdefault(n[1], []).append(n[0])
    for name in sorted(seen):
        if len(seen[name]) >= least:
            kept += [(n, name) for n in seen[name][:most]]
    return kept


class HeldOut:
    """The held-out tasks: which papers each is made of, and how it is judged."""

    def __init__(self, work):
        self.papers, rows = Papers(work), held_out(work)
        of = lambda source: [(r["number"], r["group"]) for r in rows if r["source"] == source]
        self.keywords = {r["number"]: r["keywords"] for r in rows}
        self.keyworded = {"drugs_keywords": [n for n, _ in of("bc5cdr")][:1000],
                          "iclr_keywords": [n for n, _ in of("miniconf2020") if self.keywords[n]]}
        self.grouped = {"reviews_cluster": capped(of("asreview"), 60, 30),
                        "workshops_cluster": capped(of("acl_anthology"), 60, 30),
                        "programmes_near": capped(of("nber_summer_institute"), 80, 5)}
        self.pairs = [n for s in ("nutrition_pubmed", "icrs2026", "bc5cdr") for n, _ in of(s)[:500]]

    def numbers(self):
        """Every paper these tasks need."""
        found = set(self.pairs).union(*self.keyworded.values(), *[[n for n, _ in g] for g in self.grouped.values()])
        return np.array(sorted(found))

    def score(self, encode):
        """Figures of an encoder of token ids."""
        return self.judge(lambda numbers, part: unit(encode([part(n).astype("i8") for n in numbers])))

    def score_stored(self, stored, change):
        """Figures of vectors from the teacher's file of held-out papers, each passed through change(vectors, tokens)."""
        at = {n: row for row, n in enumerate(stored["numbers"])}

        def vectors(numbers, part):
            key = "title" if part == self.papers.title else "full"
            return unit(change(stored[key][[at[n] for n in numbers]], [part(n) for n in numbers]))

        return self.judge(vectors)

    def judge(self, vectors):
        full = lambda numbers: vectors(numbers, self.papers.full)
        out = {name: overlap([self.keywords[n] for n in numbers], full(numbers)) for name, numbers in self.keyworded.items()}
        for name, pairs in self.grouped.items():
            judge = neighbours if name.endswith("near") else clusters
            out[name] = judge([g for _, g in pairs], full([n for n, _ in pairs]))
        out["medicine_titles"] = title_to_abstract(vectors(self.pairs, self.papers.title), full(self.pairs))
        return out


def table(figures):
    mean = 100 * np.mean(list(figures.values()))
    return "  ".join(f"{k} {100 * v:.2f}" for k, v in figures.items()) + f"  mean {mean:.2f}"
