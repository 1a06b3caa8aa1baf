"""A student cut from the teacher in closed form: fewer layers, fewer inner neurons, the rest refitted by least squares.

Layer by layer from below: a kept layer has to give the state that the next kept one expects, so it makes up for those left
out between. Its inner neurons are dropped one by one, each time the one whose loss costs least after refitting all others
(optimal brain surgeon: Hassibi and Stork, 1993), and the map after them is solved for the teacher's state from the student's
own input, so that errors do not add up.
"""
import copy

import torch
import torch.nn.functional as F

from bert import Bert, attention


def goals(keep, total):
    """For each kept layer the teacher's layer whose state it has to give."""
    return [following - 1 for following in (*keep[1:], total)]


def before_norm(layer, x, mask):
    """The state between a layer's two halves, its inner activations, and the sum before the last norm."""
    b, t, w = x.shape
    q, k, v = layer.qkv(x).view(b, t, 3, layer.heads, w // layer.heads).permute(2, 0, 3, 1, 4)
    mixed = attention(q, k, v, mask).transpose(1, 2).reshape(b, t, w)
    middle = layer.norm1(x + layer.out(mixed))
    inner = F.gelu(layer.up(middle))
    return middle, inner, middle + layer.down(inner)


def eliminate(gram, cross, count):
    """Indices of `count` inputs and the least-squares map from them; `gram` is (n, n), `cross` (n, outputs), float64."""
    inverse = torch.linalg.inv(gram)
    weight = inverse @ cross
    alive = torch.ones(len(gram), dtype=torch.bool)
    for _ in range(len(gram) - count):
        diagonal = inverse.diagonal().clamp(min=1e-300)
        cost = torch.where(alive, weight.square().sum(1) / diagonal, torch.inf)
        out = int(cost.argmin())
        alive[out] = False
        row = inverse[out].clone()
        weight -= torch.outer(row, weight[out] / row[out])
        inverse -= torch.outer(row, row / row[out])
    kept = alive.nonzero().ravel()
    return kept, weight[kept]


@torch.inference_mode()
def cut(teacher, keep, inner, batches, strength=1e-3):
    """The student. `batches` are (ids, lengths); `strength` of the ridge, as a share of the mean of the diagonal."""
    total = len(teacher.layers)
    student = Bert(teacher.words.weight.shape[0], 0)
    student.words, student.positions, student.norm = map(copy.deepcopy, (teacher.words, teacher.positions, teacher.norm))
    for origin, goal in zip(keep, goals(keep, total)):
        layer = copy.deepcopy(teacher.layers[origin])
        layer.norm2 = copy.deepcopy(teacher.layers[goal].norm2)
        width, full = layer.down.weight.shape
        gram, cross = torch.zeros(full + 1, full + 1).double(), torch.zeros(full + 1, width).double()
        spread = 0.0
        for ids, lengths in batches:
            states, real = teacher.hidden(ids, lengths)
            mask = None if bool(real.all()) else real[:, None, None, :]
            wanted = before_norm(teacher.layers[goal], states[goal], mask)[2][real]
            middle, activations, _ = before_norm(layer, student.hidden(ids, lengths)[0][-1], mask)
            given = F.pad(activations[real], (0, 1), value=1.0)
            rest = wanted - middle[real]
            gram += (given.T @ given).double()
            cross += (given.T @ rest).double()
            spread += rest.square().sum().item()
        # The constant goes out of the system first: what is left are covariances, and the bias follows from the means.
        count, sums, means = gram[-1, -1].clone(), gram[-1, :-1].clone(), cross[-1] / gram[-1, -1]
        covariance = gram[:-1, :-1] - torch.outer(sums, sums) / count
        against = cross[:-1] - torch.outer(sums, means)
        ridge = strength * covariance.diagonal().mean()
        covariance += ridge * torch.eye(full)
        # Towards the map that the layer had, not towards nothing.
        kept, weight = eliminate(covariance, against + ridge * layer.down.weight.T.double(), inner)
        small = torch.nn.Linear(width, inner), torch.nn.Linear(inner, width)
        small[0].weight.copy_(layer.up.weight[kept])
        small[0].bias.copy_(layer.up.bias[kept])
        small[1].weight.copy_(weight.T.float())
        small[1].bias.copy_((means - weight.T @ sums[kept] / count).float())
        layer.up, layer.down = small
        student.layers.append(layer)
        left = spread - count * means.square().sum() - (weight * against[kept]).sum()
        print(f"layer {origin} for {goal}: {left / spread:.3f} of the sum's square left", flush=True)
    return student
