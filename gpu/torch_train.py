#!/usr/bin/env python3
"""Trains Nestor's decoder in PyTorch on batches that `train_lab batches` makes, and writes weights that `train_lab adopt` takes.

The network, the losses, the optimisers and the schedule are those of `nestor train`; batches come through
a pipe from the same loader. Prints JSON lines; writes OUT/weights.safetensors (the averaged weights, f16) at every
validation and OUT/state.pt, from which --resume goes on.

    python3 torch_train.py --lab pack/train_lab --corpus pack/corpus --out best-tiny --size tiny --minutes 15
"""

import argparse
import json
import math
import queue
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

from torch_decoder import SIZES, Network

MAGIC = b"NSTBAT01"
LEVEL_WEIGHTS = [0.3, 0.3, 1.0]


class Batches:
    """Batches from the loader's process, a few of them ready ahead."""

    def __init__(self, command, skip):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=1 << 22)
        if self.read(8) != MAGIC:
            sys.exit(f"{command[0]}: this is no stream of batches")
        self.vocab, self.time, count = struct.unpack("<3I", self.read(12))
        self.validation = [self.batch() for _ in range(count)]
        self.ready = queue.Queue(4)
        threading.Thread(target=self.fill, args=(skip,), daemon=True).start()

    def read(self, size):
        data = self.process.stdout.read(size)
        if len(data) < size:
            raise EOFError("the loader has ended")
        return data

    def batch(self):
        (windows,) = struct.unpack("<I", self.read(4))
        size = windows * self.time
        data = self.read(size * 12)
        integers = np.frombuffer(data, "<i4", 2 * size).reshape(2, windows, self.time)
        weights = np.frombuffer(data, "<f4", size, 8 * size).reshape(windows, self.time)
        tokens, targets = (torch.from_numpy(x.astype(np.int64)) for x in integers)
        parts = tokens, targets, torch.from_numpy(weights.copy())
        return tuple(part.pin_memory() for part in parts) if torch.cuda.is_available() else parts

    def fill(self, skip):
        try:
            for _ in range(skip):
                self.batch()
            while True:
                self.ready.put(self.batch())
        except EOFError as error:
            self.ready.put(error)

    def next(self):
        batch = self.ready.get()
        if isinstance(batch, Exception):
            sys.exit(str(batch))
        return batch


def init(network, size):
    """The distributions that `nestor train` draws fresh weights from."""
    depth = len(network.stages) * size["blocks"]
    residual = 1 / math.sqrt(2 * depth)
    for stage in network.stages:
        for block in stage:
            for linear, scale in [
                (block.gate_up, 1),
                (block.down, residual),
                (block.mixer.out_proj, residual),
                (getattr(block.mixer, "in_proj", None) or block.mixer.qkv, 1),
            ]:
                nn.init.normal_(linear.weight, std=scale / math.sqrt(linear.weight.shape[1]))
    for down in network.exit_downs:
        nn.init.normal_(down.weight, std=1 / math.sqrt(down.weight.shape[1]))


def names(network):
    """Every parameter with its name and how it lies in the model folder."""
    matrix = lambda p: p.t()
    vector = lambda p: p
    yield "embedding", network.embedding, vector
    for s, stage in enumerate(network.stages):
        for b, block in enumerate(stage):
            at, mixer = f"stages.{s}.blocks.{b}", block.mixer
            yield f"{at}.mixer_norm", block.mixer_norm, vector
            yield f"{at}.ffn_norm", block.ffn_norm, vector
            yield f"{at}.ffn.gate_up", block.gate_up.weight, matrix
            yield f"{at}.ffn.down", block.down.weight, matrix
            yield f"{at}.mixer.out_proj", mixer.out_proj.weight, matrix
            if hasattr(mixer, "qkv"):
                yield f"{at}.mixer.qkv", mixer.qkv.weight, matrix
                yield f"{at}.mixer.q_norm", mixer.q_norm, vector
                yield f"{at}.mixer.k_norm", mixer.k_norm, vector
            else:
                yield f"{at}.mixer.in_proj", mixer.in_proj.weight, matrix
                yield f"{at}.mixer.conv", mixer.conv, lambda p: p[:, 0, :].t()
                yield f"{at}.mixer.a_log", mixer.a_log, vector
                yield f"{at}.mixer.dt_bias", mixer.dt_bias, vector
                yield f"{at}.mixer.out_norm", mixer.out_norm, vector
    for e, (norm, down, up) in enumerate(zip(network.exit_norms, network.exit_downs, network.exit_ups)):
        yield f"exits.{e}.norm", norm, vector
        yield f"exits.{e}.down", down.weight, matrix
        yield f"exits.{e}.up", up.weight, matrix


def losses(network, tokens, targets, weights, phase, stride, distill):
    """The summed loss, and by level the mean negative log-likelihood and the share of right pieces."""
    states = [s.flatten(0, 1) for s in network(tokens)]
    targets, weights = targets.flatten(), weights.flatten()
    head = network.embedding.to(states[-1].dtype).t()
    level_weights = LEVEL_WEIGHTS[-len(states):]
    total, scores = 0.0, []

    def every(x):
        return x.unflatten(0, (-1, stride)).index_select(1, phase).squeeze(1)

    teacher = None
    for level in reversed(range(len(states))):
        last = level + 1 == len(states)
        pick = (lambda x: x) if last else every
        logits = (pick(states[level]) @ head).float()
        wanted, weight = pick(targets), pick(weights)
        weight = weight / weight.sum().clamp_min(1e-9)
        log_p = logits.log_softmax(-1)
        nll = -log_p.gather(1, wanted[:, None]).squeeze(1)
        loss = nll
        if last:
            teacher = logits.detach()
        elif distill > 0:
            soft = -(every(teacher).softmax(-1) * log_p).sum(-1)
            loss = (1 - distill) * nll + distill * soft
        total = total + level_weights[level] * (loss * weight).sum()
        right = (logits.detach().argmax(-1) == wanted).float()
        scores.append(torch.stack([(nll.detach() * weight).sum(), (right * weight).sum()]))
    return total, torch.stack(scores[::-1])


class Muon:
    """Muon over matrices, those of one shape together; the direction in bf16 on a GPU."""

    def __init__(self, parameters, decay):
        self.decay = decay
        shapes = {}
        for p in parameters:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = [(ps, torch.zeros(len(ps), *shape, device=ps[0].device)) for shape, ps in shapes.items()]

    @torch.no_grad()
    def step(self, rate):
        for parameters, momentum in self.groups:
            gradient = torch.stack([p.grad for p in parameters])
            momentum.mul_(0.95).add_(gradient)
            x = direction(gradient, momentum)
            scale = rate * 0.2 * math.sqrt(max(x.shape[-2:]))
            torch._foreach_mul_(parameters, 1 - rate * self.decay)
            torch._foreach_add_(parameters, list(x.unbind(0)), alpha=-scale)


def direction(gradient, momentum):
    x = gradient.add(momentum, alpha=0.95)
    x = x.bfloat16() if x.is_cuda else x
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


def copy(to, values):
    for a, b in zip(to, values):
        a.copy_(b)


def factor(step, progress, warm_up, floor):
    """Warm-up, stable, and a straight decay over the last 40 % of the run."""
    falling = min((1 - progress) / 0.4, 1.0)
    return min((step + 1) / warm_up, 1.0) * (floor + (1 - floor) * falling)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="nano")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--minutes", type=float, required=True, help="of training, compilation left out")
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--distill", type=float, default=0.5)
    parser.add_argument("--muon", type=float, default=4e-3)
    parser.add_argument("--adamw", type=float, default=3e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--floor", type=float, default=0.02)
    parser.add_argument("--rename", type=float, default=0.3)
    parser.add_argument("--fim", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validate-s", type=float, default=60)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="dry run without compilation")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    device = "cpu" if args.cpu else "cuda"
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    size = SIZES[args.size]
    network = Network(size, args.levels).to(device)
    init(network, size)
    named = list(names(network))
    parameters = [p for _, p, _ in named]
    assert len({id(p) for p in parameters}) == len(list(network.parameters())), "a parameter has no name"
    hidden = [p for name, p, _ in named if p.ndim == 2 and name != "embedding"]
    decayed = [p for name, p, _ in named if name == "embedding" or name.endswith(".conv")]
    apart = {id(p) for p in hidden + decayed}
    plain = [p for p in parameters if id(p) not in apart]
    muon = Muon(hidden, args.decay)
    adamw = torch.optim.AdamW(
        [dict(params=decayed, weight_decay=args.decay), dict(params=plain, weight_decay=0.0)],
        lr=args.adamw, betas=(0.9, 0.95), eps=1e-8, **({} if args.cpu else dict(fused=True)),
    )
    average = [p.detach().clone() for p in parameters]
    step, tokens, spent = 0, 0, 0.0
    state_file = args.out / "state.pt"
    if args.resume and state_file.exists():
        state = torch.load(state_file, map_location=device)
        step, tokens, spent = state["step"], state["tokens"], state["spent"]
        with torch.no_grad():
            for kept, present in [
                (state["weights"], parameters), (state["average"], average), (state["momenta"], [m for _, m in muon.groups]),
            ]:
                copy(present, kept)
        adamw.load_state_dict(state["adamw"])
    command = [args.lab, "batches", args.corpus] + [
        f"{key}={value}" for key, value in dict(
            batch=args.batch, seq_len=args.seq_len, rename=args.rename, fim=args.fim, seed=args.seed, windows=64,
        ).items()
    ]
    batches = Batches(command, step)
    if batches.vocab != size["vocab"]:
        sys.exit(f"the corpus has {batches.vocab} pieces, the network {size['vocab']}")
    compiled = losses if args.cpu else torch.compile(losses)
    log = open(args.out / "run.jsonl", "a")

    def say(**event):
        print(json.dumps(event), file=log, flush=True)

    def forward(batch, phase, stride, distill, call):
        batch = [x.to(device, non_blocking=True) for x in batch]
        phase = torch.tensor([phase], device=device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=not args.cpu):
            return call(network, *batch, phase, stride, distill)

    def validate():
        present = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            copy(parameters, average)
            sums, positions = 0, 0
            for batch in batches.validation:
                count = int((batch[2] > 0).sum())
                sums = sums + count * forward(batch, 0, 1, 0.0, losses)[1]
                positions += count
            copy(parameters, present)
        levels = [dict(level=i + 1, nll=s[0], top1=s[1]) for i, s in enumerate((sums / positions).tolist())]
        say(kind="validation", step=step, tokens=tokens, seconds=spent, levels=levels)
        out = {name: lay(p).to(torch.float16).contiguous().cpu() for (name, _, lay), p in zip(named, average)}
        save_file(out, args.out / "weights.partial")
        (args.out / "weights.partial").rename(args.out / "weights.safetensors")
        partial = state_file.with_suffix(".partial")
        torch.save(dict(
            step=step, tokens=tokens, spent=spent, weights=[p.detach() for p in parameters], average=average,
            momenta=[m for _, m in muon.groups], adamw=adamw.state_dict(),
        ), partial)
        partial.rename(state_file)
        return levels

    say(kind="header", arguments={k: str(v) for k, v in vars(args).items()}, torch=torch.__version__,
        device="cpu" if args.cpu else torch.cuda.get_device_name(), parameters=sum(p.numel() for p in parameters),
        first_step=step)
    began = None
    before = spent
    validated = logged = time.perf_counter()
    logged_tokens = tokens
    warm = 3
    while True:
        if warm == 0 and began is None:
            if not args.cpu:
                torch.cuda.synchronize()
            began = validated = logged = time.perf_counter()
            logged_tokens = tokens
        if began is not None:
            spent = before + time.perf_counter() - began
        progress = min(spent / (args.minutes * 60), 1.0)
        if progress >= 1.0:
            break
        batch = batches.next()
        rate = factor(step, progress, args.warm_up, args.floor)
        loss, scores = forward(batch, (-step) % args.stride, args.stride, args.distill, compiled)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        muon.step(args.muon * rate)
        for group in adamw.param_groups:
            group["lr"] = args.adamw * rate
        adamw.step()
        network.zero_grad(set_to_none=True)
        with torch.no_grad():
            keep = min(args.ema, (step + 1) / (step + 10))
            torch._foreach_mul_(average, keep)
            torch._foreach_add_(average, [p.detach() for p in parameters], alpha=1 - keep)
        step += 1
        tokens += batch[0].numel()
        warm = max(warm - 1, 0)
        if step % 100 == 0:
            now = time.perf_counter()
            value = loss.item()
            if not math.isfinite(value):
                sys.exit(f"step {step}: the loss is not finite")
            say(kind="step", step=step, tokens=tokens, loss=value, levels=scores.tolist(), rate_factor=rate,
                tokens_per_s=(tokens - logged_tokens) / (now - logged), progress=progress)
            logged, logged_tokens = now, tokens
        if began is not None and time.perf_counter() - validated > args.validate_s:
            validate()
            validated = time.perf_counter()
    levels = validate()
    memory = None if args.cpu else torch.cuda.max_memory_allocated()
    say(kind="summary", step=step, tokens=tokens, elapsed_s=spent, tokens_per_s=tokens / spent, peak_device_bytes=memory,
        levels=levels)
    batches.process.kill()


if __name__ == "__main__":
    main()
