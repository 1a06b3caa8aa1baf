#!/usr/bin/env python3
"""A student cut from a teacher in closed form: fewer layers, heads and inner neurons, the rest refitted by least squares.

  narrow.py --work WORK --student WORK/restored.pt --heads 6 --out WORK/cut.pt

cuts a student further; student.py cuts its first one itself. Layer by layer from below: a kept layer has to give the state that
the next kept one expects, so it makes up for those left out between. Its heads, and its inner neurons, are dropped one by one,
each time the one whose loss costs least after refitting all others (optimal brain surgeon: Hassibi and Stork, 1993), and the map
after them is solved for the teacher's sum from the student's own input, so that errors do not add up.
"""
import argparse
import copy

import torch
import torch.nn.functional as F
from torch import nn

from bert import HEAD, Bert, Layer, Student, empty, mask_of
from common import Papers, batches, framed, save


def goals(keep, total):
    """For each kept layer the teacher's layer whose state it has to give."""
    return [following - 1 for following in (*keep[1:], total)]


def eliminate(gram, cross, count, size):
    """The `count` groups of `size` inputs each that are kept, as indices of inputs, and the least-squares map from them; `gram`
    is (n, n), `cross` (n, outputs), float64."""
    inverse = torch.linalg.inv(gram)
    weight = inverse @ cross
    groups = len(gram) // size
    alive = torch.ones(groups, dtype=torch.bool)
    for _ in range(groups - count):
        own = inverse.view(groups, size, groups, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1).clone()
        own[~alive] = torch.eye(size).double()
        cost = (weight.view(groups, size, -1) * torch.linalg.solve(own, weight.view(groups, size, -1))).sum((1, 2))
        out = int(torch.where(alive, cost, torch.inf).argmin())
        alive[out] = False
        at = slice(out * size, (out + 1) * size)
        columns, whole = inverse[:, at].clone(), torch.linalg.inv(own[out])
        weight -= columns @ (whole @ weight[at])
        inverse -= columns @ whole @ columns.T
    kept = alive.repeat_interleave(size).nonzero().ravel()
    return kept, weight[kept]


class Fit:
    """Least squares from inputs to outputs, of which groups of inputs can be left out."""

    def __init__(self, inputs, outputs):
        self.gram, self.cross = torch.zeros(inputs + 1, inputs + 1).double(), torch.zeros(inputs + 1, outputs).double()
        self.spread = 0.0

    def add(self, given, wanted):
        given = F.pad(given, (0, 1), value=1.0)
        self.gram += (given.T @ given).double()
        self.cross += (given.T @ wanted).double()
        self.spread += wanted.square().sum().item()

    def solve(self, count, size, before, strength):
        """The inputs kept, the map from them, and the share of the square of the outputs that is left. The map tends to `before`,
        that of all inputs, not to nothing."""
        # The constant goes out of the system first: what is left are covariances, and the bias follows from the means.
        total, given, means = self.gram[-1, -1], self.gram[-1, :-1], self.cross[-1] / self.gram[-1, -1]
        covariance = self.gram[:-1, :-1] - torch.outer(given, given) / total
        against = self.cross[:-1] - torch.outer(given, means)
        ridge = strength * covariance.diagonal().mean()
        covariance += ridge * torch.eye(len(covariance))
        kept, weight = eliminate(covariance, against + ridge * before.weight.T.double(), count, size)
        small = nn.Linear(len(kept), len(means))
        small.weight.copy_(weight.T)
        small.bias.copy_(means - weight.T @ given[kept] / total)
        left = self.spread - total * means.square().sum() - (weight * against[kept]).sum()
        return kept, small, left / self.spread


def selected(linear, rows):
    """The map to some of the outputs."""
    small = nn.Linear(linear.in_features, len(rows))
    small.weight.copy_(linear.weight[rows])
    small.bias.copy_(linear.bias[rows])
    return small


def drop_heads(layer, heads, examples, strength):
    """`examples` are states before the layer, the sum after attention that is wanted of them, the mask, and which tokens are
    real."""
    width, given = layer.out.weight.shape
    fit = Fit(given, width)
    for x, wanted, mask, real in examples:
        fit.add(layer.mixed(x, mask)[real], (wanted - x)[real])
    kept, layer.out, left = fit.solve(heads, HEAD, layer.out, strength)
    layer.qkv = selected(layer.qkv, torch.cat([part * given + kept for part in range(3)]))
    return left


def drop_neurons(layer, inner, examples, strength):
    """`examples` as for heads, of the sum after the feed-forward part."""
    width, given = layer.down.weight.shape
    fit = Fit(given, width)
    for x, wanted, mask, real in examples:
        middle = layer.middle(x, mask)
        fit.add(F.gelu(layer.up(middle))[real], (wanted - middle)[real])
    kept, layer.down, left = fit.solve(inner, 1, layer.down, strength)
    layer.up = selected(layer.up, kept)
    return left


@torch.inference_mode()
def cut(teacher, keep, heads, inner, texts, strength=1e-3):
    """The student. `texts` are batches of (ids, lengths); `strength` of the ridge, as a share of the mean of the diagonal."""
    student = Bert(teacher.words.weight.shape[0], 0)
    student.words, student.positions, student.norm = map(copy.deepcopy, (teacher.words, teacher.positions, teacher.norm))

    def examples(number, sum_of):
        """The student's last states, and a sum of the teacher's layer `number` from the teacher's own."""
        for ids, lengths in texts:
            states, real = teacher.hidden(ids, lengths)
            mask = mask_of(real)
            yield student.hidden(ids, lengths)[0][-1], sum_of(teacher.layers[number], states[number], mask), mask, real

    for origin, goal in zip(keep, goals(keep, len(teacher.layers))):
        layer = copy.deepcopy(teacher.layers[origin])
        layer.norm2 = copy.deepcopy(teacher.layers[goal].norm2)
        said = f"layer {origin} for {goal}: of what its parts add, as squares, is missing"
        if heads * HEAD < layer.out.in_features:
            said += f" {drop_heads(layer, heads, examples(origin, Layer.attended), strength):.3f} of attention,"
        # Also where no neuron is dropped: the map makes up for what the layers below have lost.
        said += f" {drop_neurons(layer, inner, examples(goal, Layer.expanded), strength):.3f} of the feed-forward part"
        student.layers.append(layer)
        print(said, flush=True)
    return student


def sample(papers, seed):
    """Batches of papers, fields balanced, to fit to."""
    return batches([framed(papers.full(n), 128) for n in papers.balanced(480, 0.6, seed)])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--student", required=True)
    p.add_argument("--heads", type=int, required=True, help="heads kept of each layer")
    p.add_argument("--inner", type=int, default=512, help="inner neurons kept of each layer")
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    stored = torch.load(args.student, map_location="cpu")
    whole = empty(stored["student"]).eval()
    whole.load_state_dict(stored["student"])
    layers = range(len(whole.bert.layers))
    student = Student(cut(whole.bert, layers, args.heads, args.inner, sample(Papers(args.work), args.seed + 1)), whole.head.out_features)
    student.head = whole.head
    kept = {key: stored[key] for key in ("new_words", "pieces") if key in stored}
    save(args.out, student=student.state_dict(), **kept)


if __name__ == "__main__":
    main()
