"""Two linear maps found in closed form, that cost nothing at run time: they go into a word table or a last linear layer."""
import numpy as np


def sharpening(papers, numbers, x, shrink, least=8):
    """A symmetric map that shrinks directions in which papers of one label differ, as the labels' own spread says.

    The inverse root of the scatter within labels (a paper's first label), plus `shrink` times its mean eigenvalue on
    the diagonal: a large `shrink` changes little. Closed form, so it cannot overfit far, and nothing has to be tuned
    but that number.
    """
    first = np.array([papers.labels(n)[0] if len(papers.labels(n)) else -1 for n in numbers])
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
