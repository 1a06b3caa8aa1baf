#!/usr/bin/env python3
"""Trains the student: some layers of the teacher, narrowed, and a linear head, to give the target's vectors.

  student.py --work WORK --teacher MINILM_FOLDER --target WORK/target.npz --eval ../shared/eval --out WORK/student

It starts from narrow.py's cut. Loss: one minus the cosine to the target, for the whole vector and for its prefixes
(--nested), on the paper cut at --limit tokens and on its title; plus, by weight, the distance of every token's last state to
the teacher's, shifted as the target's mean is (--states), likeness of the batch's similarity matrix (--matrix), the contrast
of titles and papers (--contrast) and a softmax over labels (--labels). The rate rises over --warm steps, stays, and falls
over the last --decay of --steps: a run can be cut short, or taken further, by running it again with other --steps.
Checkpoints go to OUT.state every --save steps; the same command again goes on from the last. Under torchrun each process
takes a batch of its own and gradients are averaged. At the end OUT.pt holds the student.
"""
import argparse
import glob
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import distributed, nn

import suite
from bert import Student, empty, from_transformers
from common import LONGEST, Papers, batches, framed, padded, pick_device, save
from narrow import cut, sample
from static import contrast, label_loss, wanted_labels

TOKENS = 4096  # Of a part of a batch on a CPU.
SORTED = 16  # Steps whose papers are sorted by length together.


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--teacher", required=True)
    p.add_argument("--target", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--initial", default="", help="a .pt or .state to start from, head included, instead of a cut of the teacher")
    p.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2, 3, 4, 5], help="of the teacher, to start from")
    p.add_argument("--heads", type=int, default=12, help="heads kept of each layer")
    p.add_argument("--inner", type=int, default=512, help="inner neurons kept of each layer")
    p.add_argument("--fit-head", action="store_true", help="of --initial: its head is not kept, but fitted to the target")
    p.add_argument("--limit", type=int, default=LONGEST, help="tokens of a paper; as in teacher.py where --states counts")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--warm", type=int, default=100)
    p.add_argument("--decay", type=int, default=400)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--rate", type=float, default=3e-4)
    p.add_argument("--head-rate", type=float, default=1e-3)
    p.add_argument("--word-rate", type=float, default=1e-3, help="of words that vocabulary.py added")
    p.add_argument("--tokenizer", default="", help="where it is not the teacher's")
    p.add_argument("--states-of", default="", help="the WORK of the teacher's states, where it is another")
    p.add_argument("--matrix", type=float, default=1.0)
    p.add_argument("--states", type=float, default=1.0)
    p.add_argument("--contrast", type=float, default=0.0)
    p.add_argument("--labels", type=float, default=0.0)
    p.add_argument("--nested", type=int, nargs="*", default=[128])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--save", type=int, default=100)
    p.add_argument("--score", type=int, default=0, help="score the development suite every so many steps")
    p.add_argument("--device", default="auto")
    return p.parse_args()


def encoder(student, device, limit=LONGEST, budget=2048):
    """An encoder of token ids for suite.py."""
    def encode(rows):
        rows = [framed(r, limit) for r in rows]
        order = np.argsort([-len(r) for r in rows], kind="stable")
        out, at = np.zeros((len(rows), student.head.out_features), "f4"), 0
        while at < len(order):
            take = order[at:at + max(1, budget // len(rows[order[at]]))]
            with torch.inference_mode():
                out[take] = student(*padded([rows[n] for n in take], device), device).float().cpu().numpy()
            at += len(take)
        return out
    return encode


def ridge(x, y, strength):
    """Weights (inputs, outputs) and bias of least squares; `strength` as a share of the mean of the diagonal."""
    x = np.concatenate([x, np.ones((len(x), 1))], 1).astype("f8")
    gram = x.T @ x
    solved = np.linalg.solve(gram + strength * gram.diagonal().mean() * np.eye(len(gram)), x.T @ y)
    return solved[:-1], solved[-1]


def ridge_head(student, papers, target, device, limit, count=2000, strength=1e-3):
    """Least squares from the pooled states to the target: the head starts where the lower layers already lead."""
    with torch.inference_mode():
        rows = [framed(papers.full(n), limit) for n in target["numbers"][:count]]
        with torch.autocast(device, torch.bfloat16):
            pooled = [student.bert(*batch).float().cpu() for batch in batches(rows, 16, device)]
    weight, bias = ridge(torch.cat(pooled).numpy(), target["full"][:count], strength)
    with torch.no_grad():
        student.head.weight.copy_(torch.from_numpy(weight.T))
        student.head.bias.copy_(torch.from_numpy(bias))


class States:
    """The teacher's last states of every paper's tokens, from the files of teacher.py, not held in memory."""

    def __init__(self, work, pieces):
        self.files, self.place, self.pieces, self.papers = [], {}, pieces, Papers(work)
        for path in sorted(glob.glob(os.path.join(work, "teacher", "[0-9]*.states.npy"))):
            shard = np.load(path.replace(".states.npy", ".npz"))
            ends = np.cumsum(shard["lengths"])
            for number, start, end in zip(shard["numbers"], ends - shard["lengths"], ends):
                self.place[int(number)] = (len(self.files), int(start), int(end))
            stored = np.load(path, mmap_mode="r")
            self.files.append((path, stored.offset, stored.shape[1]))

    def of(self, number, row):
        """The part of a row of token ids that the teacher read too, and the states of it: of a word that is whole now the mean
        of its pieces'."""
        file, start, end = self.place[int(number)]
        path, offset, width = self.files[file]
        # Not from mapped memory: with more states than memory, the system reads several times as much ahead of each page.
        found = np.fromfile(path, "f2", (end - start) * width, offset=offset + 2 * start * width).astype("f4").reshape(-1, width)
        if not self.pieces:
            return row, found
        pieces = [self.pieces.get(int(token), [token]) for token in row[:-1]]
        ends = np.cumsum([len(p) for p in pieces])
        spelled, read = np.concatenate(pieces), framed(self.papers.full(number), len(found))[:-1]
        length = min(len(spelled), len(read))
        apart = np.flatnonzero(spelled[:length] != read[:length])
        n = int(np.searchsorted(ends, apart[0] if len(apart) else length, side="right"))
        starts = np.concatenate([[0], ends])[:n]
        sums = np.add.reduceat(found[:ends[n - 1]], starts, axis=0) / np.diff([*starts, ends[n - 1]])[:, None]
        return np.concatenate([row[:n], row[-1:]]), np.concatenate([sums, found[-1:]])


def distance(x, y, widths, matrix):
    """Cosine distance to the target and squared difference of the similarity matrices, mean over prefixes."""
    total = 0
    for w in widths:
        a, b = F.normalize(x[:, :w]), F.normalize(y[:, :w])
        total = total + (1 - (a * b).sum(1)).mean() + matrix * len(a) * (a @ a.T - b @ b.T).square().mean() / 10
    return total / len(widths)


def parameter_groups(student, new_words, args):
    """Word and position vectors stay as they are: few of them are seen often enough to move well. New words have to."""
    for module in (student.bert.words, student.bert.positions, student.bert.norm):
        module.requires_grad_(False)
    body = [p for p in student.bert.parameters() if p.requires_grad]
    groups = [{"params": body, "lr": args.rate}, {"params": student.head.parameters(), "lr": args.head_rate}]
    if new_words is None:
        return groups
    words = student.bert.words.weight.requires_grad_(True)
    is_new = torch.zeros(len(words), 1, device=words.device).index_fill(0, new_words.to(words.device), 1)
    words.register_hook(lambda gradient: gradient * is_new)
    return [*groups, {"params": [words], "lr": args.word_rate, "weight_decay": 0.0}]


def label_means(papers, target):
    """Where the target has each label: the softmax over labels starts from there."""
    sums = np.zeros((len(papers.label_names), target["full"].shape[1]), "f4")
    for number, row in zip(target["numbers"], target["full"]):
        sums[papers.labels(number).astype("i8")] += row
    return torch.from_numpy(sums + 1e-6)


def joined_processes():
    """Number of this process and of all; 0 and 1 without torchrun."""
    if "RANK" not in os.environ:
        return 0, 1
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def average_gradients(parameters, ranks):
    """One reduction of all gradients in a row: on a CPU the number of messages costs more than their size."""
    found = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in found])
    distributed.all_reduce(flat)
    for gradient, part in zip(found, (flat / ranks).split([g.numel() for g in found])):
        gradient.copy_(part.view_as(gradient))


def beginning(args, papers, width):
    """The student before its first step, which of its words are new, and of what pieces those are; its head is fitted to the
    target by ridge_head."""
    path = args.initial or args.out + ".cut"
    if not os.path.exists(path) and int(os.environ.get("RANK", 0)) == 0:
        teacher = from_transformers(os.path.join(args.teacher, "model.safetensors")).eval()
        bert = cut(teacher, args.layers, args.heads, args.inner, sample(papers, args.seed + 1))
        save(path, student=Student(bert, width).state_dict())  # The head is random until it is fitted.
    if distributed.is_initialized():
        distributed.barrier()
    stored = torch.load(path, map_location="cpu")
    student = empty(stored["student"])
    student.load_state_dict(stored["student"])
    return student, stored.get("new_words"), stored.get("pieces", {})


def stretch(total, first, count, seed):
    """Rows of the target from place `first` of the order that all epochs make: each a random order of its own."""
    places = np.arange(first, first + count)
    epochs = places // total
    return np.concatenate([np.random.default_rng([seed, 10**6 + epoch]).permutation(total)[places[epochs == epoch] % total]
                           for epoch in np.unique(epochs)])


def picked(lengths, step, rank, ranks, args):
    """Which rows of the target, of these lengths in tokens, a process has at a step: papers about as long as one another, so that
    little is padding. Every SORTED steps take a stretch of the order, sorted by length, a part each, in random order. The
    choice depends on the step alone, so a resumed run sees what an undisturbed one would."""
    size, (group, within) = args.batch * ranks, divmod(step, SORTED)
    rows = stretch(len(lengths), group * SORTED * size, SORTED * size, args.seed)
    parts = rows[np.argsort(lengths[rows], kind="stable")].reshape(SORTED, size)
    return parts[np.random.default_rng([args.seed, group]).permutation(SORTED)[within]][rank::ranks]


def in_parts(student, rows, device):
    """Vectors of the rows and all their states end to end, on a CPU a few rows at a time: two processes on two cores made 41
    papers a second so, and 30 with whole batches of 32."""
    at_once = len(rows) if device != "cpu" else max(1, TOKENS // max(map(len, rows)))
    parts = [student.with_states(*batch, device) for batch in batches(rows, at_once, device)]
    return [torch.cat(outputs) for outputs in zip(*parts)]


def loss_of(student, papers, target, pick, states, proxies, args, device):
    """The loss of a batch, as the head of this file says."""
    numbers, widths = target["numbers"][pick], [target["full"].shape[1], *args.nested]
    rows = [framed(papers.full(n), args.limit) for n in numbers]
    if states:
        rows, wanted = zip(*map(states.of, numbers, rows))
        # With the shift of its paper, so that the mean is what the target is made of.
        wanted = [own + shift for own, shift in zip(wanted, target["shift"][pick].astype("f4"))]
        wanted = torch.from_numpy(np.concatenate(wanted)).to(device)
    full, last = in_parts(student, rows, device)
    title = student(*padded([framed(papers.title(n), 48) for n in numbers], device), device)
    y_full, y_title = (torch.from_numpy(target[k][pick].astype("f4")).to(device) for k in ("full", "title"))
    loss = distance(full, y_full, widths, args.matrix) + 0.5 * distance(title, y_title, widths, args.matrix)
    if states:
        loss = loss + args.states * (last.float() - wanted).square().mean() / wanted.square().mean()
    if args.contrast:
        loss = loss + args.contrast * contrast(title, full, 20.0)
    if args.labels:
        loss = loss + args.labels * label_loss(full, proxies, wanted_labels(papers, numbers, device), 10.0)
    return loss


def main():
    args = arguments()
    device = pick_device(args.device)
    rank, ranks = joined_processes()
    if device == "cuda":
        torch.cuda.set_device(rank)
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    papers, target = Papers(args.work), dict(np.load(args.target))
    width = target["full"].shape[1]
    student, new_words, pieces = beginning(args, papers, width)
    student = student.to(device)
    states = States(args.states_of or args.work, pieces) if args.states else None
    proxies = nn.Parameter(label_means(papers, target).to(device))
    groups = [*parameter_groups(student, new_words, args), {"params": [proxies], "lr": 0.01}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    peaks = [group["lr"] for group in groups]
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    first = 0
    if os.path.exists(args.out + ".state"):
        state = torch.load(args.out + ".state", map_location=device)
        student.load_state_dict(state["student"])
        proxies.data.copy_(state["proxies"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
        print(f"goes on from step {first}")
    elif args.fit_head or not args.initial:
        ridge_head(student, papers, target, device, args.limit)

    def score(step):
        ids, coded = suite.development_texts(args.eval, args.tokenizer or os.path.join(args.teacher, "tokenizer.json"))
        vectors = encoder(student.eval(), device)(coded)
        for w in (width, *args.nested):
            print(f"step {step} width {w}", suite.table(suite.development(args.eval, ids, vectors[:, :w].copy())), flush=True)
        student.train()

    start, seen = time.time(), []
    lengths = np.array([min(len(papers.full(n)), args.limit) for n in target["numbers"]])
    for step in range(first, args.steps):
        pick = picked(lengths, step, rank, ranks, args)
        loss = loss_of(student, papers, target, pick, states, proxies, args, device)
        for group, peak in zip(optimiser.param_groups, peaks):
            group["lr"] = peak * max(1e-3, min(1, (step + 1) / args.warm, (args.steps - step) / args.decay))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if ranks > 1:
            average_gradients(parameters, ranks)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        seen.append(loss.item())
        if rank:
            continue
        if step % 20 == 19:
            rate = (step + 1 - first) * args.batch * ranks / (time.time() - start)
            print(f"{step + 1} loss {np.mean(seen[-50:]):.4f} {rate:.1f} papers/s", flush=True)
        if step % args.save == args.save - 1:
            save(args.out + ".state", student=student.state_dict(), proxies=proxies.data, optimiser=optimiser.state_dict(),
                 step=step + 1)
        if args.score and step % args.score == args.score - 1:
            score(step + 1)
    if rank:
        return
    save(args.out + ".pt", student=student.state_dict(), new_words=new_words, pieces=pieces, args=vars(args))
    score(args.steps)


if __name__ == "__main__":
    main()
