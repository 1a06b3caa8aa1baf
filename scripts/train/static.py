#!/usr/bin/env python3
"""Trains static word vectors: a paper's vector is the mean of its tokens' vectors.

  static.py --work WORK --tokenizer tokenizer.json --eval ../shared/eval --out WORK/static.pt

Two losses: contrast of title and abstract within a batch, and, weighted by --labels, a softmax over the paper's labels
(arXiv category, venue, subject), each label a learned unit vector. The first --nested dimensions are trained to do alone.
Then --shrink and a rotation by principal axes (see sharpen.py), both folded into the table.
"""
import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import suite
from common import Papers, STOP, pick_device, save, unit
from sharpen import rotation, sharpening


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--device", default="auto")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--width", type=int, default=256)
    p.add_argument("--batch", type=int, default=1024)
    p.add_argument("--steps", type=int, default=800)
    p.add_argument("--rate", type=float, default=0.02)
    p.add_argument("--scale", type=float, default=20.0)
    p.add_argument("--labels", type=float, default=0.3)
    p.add_argument("--label-scale", type=float, default=10.0)
    p.add_argument("--nested", type=int, nargs="*", default=[128])
    p.add_argument("--power", type=float, default=0.7)
    p.add_argument("--longest", type=int, default=400)
    p.add_argument("--shrink", type=float, default=0.3)
    p.add_argument("--start", default="", help="a table to start from; with --steps 0 it is only sharpened")
    p.add_argument("--held", action="store_true", help="score the held-out tasks as well")
    return p.parse_args()


def bags(rows, device):
    """Flat ids and offsets for EmbeddingBag."""
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])[:-1]])
    flat = np.concatenate(rows).astype("i8")
    return torch.from_numpy(flat).to(device), torch.from_numpy(starts).to(device)


def encoder(table, device):
    def encode(rows):
        rows = [r if len(r) else np.array([STOP], "i8") for r in rows]
        with torch.inference_mode():
            return torch.cat([table(*bags(rows[n:n + 512], device)) for n in range(0, len(rows), 512)]).float().cpu().numpy()
    return encode


def contrast(a, b, scale):
    logits = scale * F.normalize(a) @ F.normalize(b).T
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def label_loss(x, proxies, wanted, scale):
    """Cross entropy against the even spread over a paper's labels; papers without a label count nothing."""
    logits = scale * F.normalize(x) @ F.normalize(proxies).T
    share = wanted / wanted.sum(1, keepdim=True).clamp(min=1)
    known = (wanted.sum(1) > 0).float()
    return -(share * F.log_softmax(logits, 1)).sum() / known.sum().clamp(min=1)


def wanted_labels(papers, numbers, device):
    wanted = torch.zeros(len(numbers), len(papers.label_names))
    for row, n in enumerate(numbers):
        wanted[row, papers.labels(n).astype("i8")] = 1
    return wanted.to(device)


def sharpened(weight, papers, shrink, seed, count=25000):
    """The table, bent by what its vectors of a balanced sample say, and rotated."""
    numbers = papers.balanced(count, 0.6, seed)
    x = unit(np.stack([weight[papers.full(n)[:256].astype("i8")].mean(0) for n in numbers]))
    bend = sharpening(papers, numbers, x, shrink)
    return weight @ bend @ rotation(unit(x @ bend), weight.shape[1])


def main():
    args = arguments()
    device = pick_device(args.device)
    torch.manual_seed(args.seed)
    papers = Papers(args.work)
    ids, coded = suite.development_texts(args.eval, args.tokenizer)
    table = nn.EmbeddingBag(30522, args.width, mode="mean").to(device)
    nn.init.normal_(table.weight, std=0.1)
    if args.start:
        table.load_state_dict({"weight": torch.load(args.start)["weight"]})
    proxies = nn.Parameter(torch.randn(len(papers.label_names), args.width, device=device))
    optimiser = torch.optim.Adam([{"params": table.parameters()}, {"params": [proxies], "lr": 0.01}], lr=args.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [args.rate, 0.01], max(args.steps, 1), pct_start=0.1)
    order = np.concatenate([papers.balanced(10**9, args.power, args.seed + e)[:250000] for e in
                            range(1 + args.steps * args.batch // 250000)])
    start, widths = time.time(), [args.width, *args.nested]
    for step in range(args.steps):
        numbers = order[step * args.batch:(step + 1) * args.batch]
        titles = [papers.title(n) if papers.starts[2 * n] < papers.starts[2 * n + 1] else np.array([STOP]) for n in numbers]
        abstracts = [papers.abstract(n)[:args.longest] for n in numbers]
        a, b = table(*bags(titles, device)), table(*bags(abstracts, device))
        lengths = torch.tensor([[len(t), len(x)] for t, x in zip(titles, abstracts)], device=device).float()
        whole = (a * lengths[:, :1] + b * lengths[:, 1:]) / lengths.sum(1, keepdim=True)
        wanted = wanted_labels(papers, numbers, device)
        loss = sum(contrast(a[:, :w], b[:, :w], args.scale) + args.labels *
                   label_loss(whole[:, :w], proxies[:, :w], wanted, args.label_scale) for w in widths) / len(widths)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"{step + 1} loss {loss.item():.3f} {time.time() - start:.0f}s", flush=True)
    with torch.no_grad():
        table.weight.copy_(torch.from_numpy(sharpened(table.weight.cpu().numpy(), papers, args.shrink, args.seed)))
    save(args.out, weight=table.weight.detach().cpu(), proxies=proxies.detach().cpu(), args=vars(args))
    encode = encoder(table, device)
    vectors = encode(coded)
    for w in widths:
        print(w, suite.table(suite.development(args.eval, ids, vectors[:, :w].copy())), flush=True)
    if args.held:
        print("held out", suite.table(suite.HeldOut(args.work).score(encode)))


if __name__ == "__main__":
    main()
