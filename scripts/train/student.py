#!/usr/bin/env python3
"""Trains the student: the lower layers of the teacher and a linear head, to give the target's vectors.

  student.py --work WORK --teacher MINILM_FOLDER --target WORK/target.npz --eval ../shared/eval --out WORK/student

Loss: one minus the cosine to the target, for the whole vector and for its prefixes (--nested), on the paper cut at
--limit tokens and on its title; plus, by weight, likeness of the batch's similarity matrix and a softmax over labels.
The rate rises over --warm steps, stays, and falls over the last --decay of --steps: a run can be cut short, or taken
further, by running it again with other --steps. Checkpoints go to OUT.state every --save steps; the same command again
goes on from the last. Under torchrun each process takes a batch of its own and gradients are averaged. At the end OUT.pt holds the student. A text is seen from a random window every second time, so that not only beginnings are learned.
"""
import argparse
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import distributed, nn

import suite
from bert import from_transformers
from common import Papers, framed, padded, pick_device, save
from static import label_loss, wanted_labels


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--teacher", required=True)
    p.add_argument("--target", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--start", default="", help="a .pt or .state to start from instead of the teacher's layers")
    p.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2])
    p.add_argument("--frozen", type=int, default=0, help="this many layers, and the word vectors, stay as they are")
    p.add_argument("--limit", type=int, default=96)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--steps", type=int, default=1500)
    p.add_argument("--warm", type=int, default=100)
    p.add_argument("--decay", type=int, default=400)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--rate", type=float, default=3e-4)
    p.add_argument("--head-rate", type=float, default=1e-3)
    p.add_argument("--matrix", type=float, default=1.0)
    p.add_argument("--labels", type=float, default=0.0)
    p.add_argument("--nested", type=int, nargs="*", default=[128])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--save", type=int, default=100)
    p.add_argument("--score", type=int, default=0, help="score the development suite every so many steps")
    p.add_argument("--device", default="auto")
    return p.parse_args()


class Student(nn.Module):
    def __init__(self, bert, width):
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(bert.words.weight.shape[1], width)

    def forward(self, ids, lengths, device):
        with torch.autocast(device, torch.bfloat16):
            pooled = self.bert(ids, lengths)
        return self.head(pooled)


def encoder(student, device, limit=256, budget=2048):
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


def ridge_head(student, papers, target, device, count=2000, strength=1e-3):
    """Least squares from the pooled states to the target: the head starts where the lower layers already lead."""
    with torch.inference_mode():
        rows = [framed(papers.full(n), 128) for n in target["numbers"][:count]]
        pooled = []
        for at in range(0, count, 64):
            with torch.autocast(device, torch.bfloat16):
                pooled.append(student.bert(*padded(rows[at:at + 64], device)).float().cpu())
    x = torch.cat([torch.cat(pooled), torch.ones(count, 1)], 1).double()
    y = torch.from_numpy(target["full"][:count].astype("f8"))
    gram = x.T @ x
    solved = torch.linalg.solve(gram + strength * gram.diagonal().mean() * torch.eye(len(gram)), x.T @ y)
    with torch.no_grad():
        student.head.weight.copy_(solved[:-1].T)
        student.head.bias.copy_(solved[-1])


def window(tokens, limit, random):
    """The paper's start, or a stretch from further on; short texts whole."""
    room = limit - 2
    if len(tokens) <= room or random.random() < 0.5:
        return framed(tokens, limit)
    at = random.integers(0, len(tokens) - room)
    return framed(tokens[at:at + room], limit)


def distance(x, y, widths, matrix):
    """Cosine distance to the target and squared difference of the similarity matrices, mean over prefixes."""
    total = 0
    for w in widths:
        a, b = F.normalize(x[:, :w]), F.normalize(y[:, :w])
        total = total + (1 - (a * b).sum(1)).mean() + matrix * len(a) * (a @ a.T - b @ b.T).square().mean() / 10
    return total / len(widths)


def parameter_groups(student, args):
    frozen = [student.bert.words, student.bert.positions, student.bert.norm] if args.frozen >= 0 else []
    for module in [*frozen, *student.bert.layers[:max(0, args.frozen)]]:
        module.requires_grad_(False)
    body = [p for p in student.bert.parameters() if p.requires_grad]
    return [{"params": body, "lr": args.rate}, {"params": student.head.parameters(), "lr": args.head_rate}]


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
    student = Student(from_transformers(os.path.join(args.teacher, "model.safetensors"), args.layers), width).to(device)
    if args.start:
        # The head is fitted anew below: another target has other axes.
        student.load_state_dict(torch.load(args.start, map_location=device)["student"])
    proxies = nn.Parameter(torch.randn(len(papers.label_names), width, device=device))
    groups = parameter_groups(student, args)
    optimiser = torch.optim.AdamW([*groups, {"params": [proxies], "lr": 0.01}], weight_decay=0.01, fused=True)
    peaks = [args.rate, args.head_rate, 0.01]
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    first = 0
    if os.path.exists(args.out + ".state"):
        state = torch.load(args.out + ".state", map_location=device)
        student.load_state_dict(state["student"])
        proxies.data.copy_(state["proxies"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
        print(f"goes on from step {first}")
    else:
        ridge_head(student, papers, target, device)
    widths = [width, *args.nested]

    def score(step):
        ids, coded = suite.development_texts(args.eval, os.path.join(args.teacher, "tokenizer.json"))
        vectors = encoder(student.eval(), device)(coded)
        for w in widths:
            print(f"step {step} width {w}", suite.table(suite.development(args.eval, ids, vectors[:, :w].copy())), flush=True)
        student.train()

    start, seen = time.time(), []
    for step in range(first, args.steps):
        # The order depends on the step alone, so a resumed run sees what an undisturbed one would.
        random = np.random.default_rng([args.seed, step, rank])
        total, first_paper = len(target["numbers"]), (step * ranks + rank) * args.batch
        epoch = np.random.default_rng([args.seed, 10**6 + first_paper // total]).permutation(total)
        at = first_paper % total
        pick = epoch[np.arange(at, at + args.batch) % total]
        numbers = target["numbers"][pick]
        full = student(*padded([window(papers.full(n), args.limit, random) for n in numbers], device), device)
        title = student(*padded([framed(papers.title(n), 48) for n in numbers], device), device)
        y_full, y_title = (torch.from_numpy(target[k][pick].astype("f4")).to(device) for k in ("full", "title"))
        loss = distance(full, y_full, widths, args.matrix) + 0.5 * distance(title, y_title, widths, args.matrix)
        if args.labels:
            loss = loss + args.labels * label_loss(full, proxies, wanted_labels(papers, numbers, device), 10.0)
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
    save(args.out + ".pt", student=student.state_dict(), layers=len(args.layers), args=vars(args))
    score(args.steps)


if __name__ == "__main__":
    main()
