#!/usr/bin/env python3
"""Gives the words of science tokens of their own, in the place of tokens that papers hardly use: shorter sequences.

  vocabulary.py --corpus ../shared/corpus/papers.jsonl.zst --tokenizer T/tokenizer.json --out WORK/tokenizer.json \\
      --student WORK/final.pt --initial WORK/renamed.pt

Words are taken by the tokens that they save; the tokens that give way are the least used once those words are whole. Papers count
by their field: with --power 0 all fields together alike, with 1 as the corpus has them. The new tokens keep the numbers of the
old ones. A new word's vector is the mean of those of its former pieces, and the student that `student.py --initial` goes on
from says which they are, so that it trains them and knows which of the teacher's states a word stands for.
"""
import argparse
import collections
import itertools
import json

import numpy as np
import torch
from tokenizers import Tokenizer

from common import save
from prepare import field, rows


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--student", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--initial", required=True)
    p.add_argument("--words", type=int, default=4000)
    p.add_argument("--power", type=float, default=0.3, help="field balance: 1 as in the corpus, 0 all fields alike")
    p.add_argument("--every", type=int, default=5, help="papers of the corpus that are counted: one of so many")
    return p.parse_args()


def counted(tokenizer, corpus, every, power):
    """How often each word stands in titles and abstracts, fields balanced."""
    counts, papers = collections.defaultdict(collections.Counter), collections.Counter()
    for row in itertools.islice(rows(corpus), 0, None, every):
        text = tokenizer.normalizer.normalize_str(f"{row['title']}. {row['abstract']}")
        counts[field(row)].update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
        papers[field(row)] += 1
    total = collections.Counter()
    for name, found in counts.items():
        weight = (papers[name] / max(papers.values())) ** (power - 1)
        total.update({word: weight * n for word, n in found.items()})
    return total


def chosen(tokenizer, counts, count):
    """The words that save most tokens with their pieces, and the tokens that are used least without them."""
    words = list(counts)
    pieces = dict(zip(words, (e.ids for e in tokenizer.encode_batch(words, add_special_tokens=False))))
    whole = lambda word: word.isascii() and word.isalpha() and len(pieces[word]) > 1
    words = sorted(filter(whole, words), key=lambda w: (len(pieces[w]) - 1) * counts[w], reverse=True)[:count]
    used = np.zeros(tokenizer.get_vocab_size())
    for word in counts.keys() - set(words):
        used[pieces[word]] += counts[word]
    vocabulary = tokenizer.get_vocab()
    may_go = [n for token, n in vocabulary.items() if len(token.removeprefix("##")) > 1 and not token.startswith("[")]
    tokens = sorted(may_go, key=lambda n: (used[n], n))[:count]
    before = sum(counts[w] * len(p) for w, p in pieces.items())
    saved = sum((len(pieces[w]) - 1) * counts[w] for w in words)
    print(f"{len(words)} words save {100 * saved / before:.1f} % of tokens; a token that goes was used {used[tokens].max():.0f} times at most")
    return [(word, pieces[word]) for word in words], tokens


def main():
    args = arguments()
    tokenizer = Tokenizer.from_file(args.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    words, tokens = chosen(tokenizer, counted(tokenizer, args.corpus, args.every, args.power), args.words)
    with open(args.tokenizer, encoding="utf8") as f:
        stored = json.load(f)
    goes = set(tokens)
    vocabulary = {token: n for token, n in stored["model"]["vocab"].items() if n not in goes}
    vocabulary |= {word: n for (word, _), n in zip(words, tokens)}
    stored["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    with open(args.out, "w", encoding="utf8") as f:
        json.dump(stored, f, ensure_ascii=False)
    student = torch.load(args.student, map_location="cpu")["student"]
    old = student["bert.words.weight"]
    new = old.clone()
    for (_, pieces), n in zip(words, tokens):
        new[n] = old[pieces].mean(0)
    pieces = {n: list(pieces) for (_, pieces), n in zip(words, tokens)}
    save(args.initial, student={**student, "bert.words.weight": new}, new_words=torch.tensor(sorted(tokens)), pieces=pieces)


if __name__ == "__main__":
    main()
