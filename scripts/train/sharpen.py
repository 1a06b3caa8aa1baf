"""Maps found in closed form from labels and from the spread of vectors: what a target or a word table is bent by."""
import numpy as np


def first_labels(papers, numbers):
    """Each paper's first label, -1 for those without."""
    return np.array([papers.labels(n)[0] if len(papers.labels(n)) else -1 for n in numbers])


def prototypes(papers, numbers, x, least=20):
    """Unit means of the unit rows `x` of each first label that at least `least` papers have."""
    first = first_labels(papers, numbers)
    found, counts = np.unique(first[first >= 0], return_counts=True)
    means = np.stack([x[first == label].mean(0) for label in found[counts >= least]])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def posterior(x, means, scale):
    """Roots of the probabilities of the prototypes given each unit row: unit rows whose cosine is the fidelity of two papers."""
    logits = scale * x @ means.T
    share = np.exp(logits - logits.max(1, keepdims=True))
    return np.sqrt(share / share.sum(1, keepdims=True)).astype("f4")


def sharpening(papers, numbers, x, shrink, least=8):
    """A symmetric map that shrinks directions in which papers of one label differ, as the labels' own spread says.

    The inverse root of the scatter within labels (a paper's first label), plus `shrink` times its mean eigenvalue on
    the diagonal: a large `shrink` changes little. Closed form, so it cannot overfit far, and nothing has to be tuned
    but that number.
    """
    first = first_labels(papers, numbers)
    counts = np.bincount(first[first >= 0], minlength=len(papers.label_names))
    known = (first >= 0) & (counts[np.maximum(first, 0)] >= least)
    apart = x[known].copy()
    for label in np.unique(first[known]):
        apart[first[known] == label] -= x[first == label].mean(0)
    values, axes = np.linalg.eigh(apart.T @ apart / len(apart))
    return ((axes * (values / values.mean() + shrink) ** -0.5) @ axes.T).astype("f4")


def rotation(x, width):
    """The first principal axes of unit rows `x`, largest first: afterwards a prefix of a vector is its best summary."""
    return np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :width].astype("f4")
