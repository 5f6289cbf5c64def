#!/usr/bin/env python3
"""Nestor's decoder in PyTorch, to compare training speed with: the same sizes, losses and optimisers.

The gated delta rule runs in chunks of 64 (WY form, triangular solve in f32), attention through
scaled_dot_product_attention, products in bf16 under autocast, everything under torch.compile where
it exists. Prints one JSON document: tokens/s and peak memory.

    python3 torch_decoder.py --size nano --levels 3 --batch 32 --seq-len 512 --steps 20
    python3 torch_decoder.py --cpu --check          # chunked form = recurrence, then a short CPU run
"""

import argparse
import json
import math
import platform
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CHUNK = 64
EPS = 1e-6
SIZES = {
    "nano": dict(width=192, blocks=2, ffn=512, vocab=8192, heads=2, query_heads=3, kv_heads=1, rank=32),
    "tiny": dict(width=320, blocks=3, ffn=880, vocab=8192, heads=3, query_heads=5, kv_heads=1, rank=64),
    "base": dict(width=512, blocks=4, ffn=1408, vocab=16384, heads=4, query_heads=8, kv_heads=2, rank=64),
}
KEY, VALUE, HEAD, WINDOW, CONV, THETA = 64, 128, 64, 512, 4, 1e5


def rms_norm(x, gain=None):
    y = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + EPS)
    y = y.to(x.dtype)
    return y if gain is None else y * gain.to(x.dtype)


def unit(x):
    x = x.float()
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + EPS)


def delta_recurrent(q, k, v, log_a, beta):
    """The definition, token by token; all f32. q, k: [B,H,T,K], v: [B,H,T,V], log_a, beta: [B,H,T]."""
    state = q.new_zeros(*q.shape[:2], q.shape[-1], v.shape[-1])
    out = []
    for t in range(q.shape[2]):
        state = state * log_a[:, :, t, None, None].exp()
        read = torch.einsum("bhkv,bhk->bhv", state, k[:, :, t])
        write = (v[:, :, t] - read) * beta[:, :, t, None]
        state = state + torch.einsum("bhk,bhv->bhkv", k[:, :, t], write)
        out.append(torch.einsum("bhkv,bhk->bhv", state, q[:, :, t]))
    return torch.stack(out, 2)


def delta_chunked(q, k, v, log_a, beta):
    """The same in chunks: within a chunk by one triangular solve, between chunks by the state."""
    b, h, t, _ = q.shape
    n = t // CHUNK
    q, k, v = (x.reshape(b, h, n, CHUNK, x.shape[-1]) for x in (q, k, v))
    g = log_a.reshape(b, h, n, CHUNK).cumsum(-1)
    beta = beta.reshape(b, h, n, CHUNK, 1)
    lower = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device).tril()
    decay = (g[..., :, None] - g[..., None, :]).masked_fill(~lower, -math.inf).exp()
    mix = (beta * (k @ k.transpose(-1, -2)) * decay).tril(-1)
    eye = torch.eye(CHUNK, device=q.device, dtype=mix.dtype)
    gamma = g.exp()[..., None]
    both = torch.cat([beta * v, beta * gamma * k], -1)
    solved = torch.linalg.solve_triangular(eye + mix, both, upper=False, unitriangular=True)
    u, w = solved.split([v.shape[-1], k.shape[-1]], -1)
    inner = (q @ k.transpose(-1, -2)) * decay
    tail = (g[..., -1:] - g).exp()[..., None]
    state = q.new_zeros(b, h, k.shape[-1], v.shape[-1])
    out = []
    for i in range(n):
        new = u[:, :, i] - w[:, :, i] @ state
        out.append((gamma[:, :, i] * q[:, :, i]) @ state + inner[:, :, i] @ new)
        state = state * gamma[:, :, i, -1:] + (tail[:, :, i] * k[:, :, i]).transpose(-1, -2) @ new
    return torch.stack(out, 2).reshape(b, h, t, -1)


class DeltaMixer(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.channels = heads * (2 * KEY + VALUE)
        self.in_proj = nn.Linear(d, self.channels + heads * (VALUE + 2), bias=False)
        self.conv = nn.Parameter(torch.randn(self.channels, 1, CONV) * 0.5)
        self.a_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.dt_bias = nn.Parameter(torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp().expm1().log())
        self.out_norm = nn.Parameter(torch.ones(VALUE))
        self.out_proj = nn.Linear(heads * VALUE, d, bias=False)

    def forward(self, u):
        b, t, _ = u.shape
        h = self.heads
        mixed, z, a, strength = self.in_proj(u).split([self.channels, h * VALUE, h, h], -1)
        mixed = F.conv1d(mixed.transpose(1, 2), self.conv.to(mixed.dtype), padding=CONV - 1, groups=self.channels)
        mixed = F.silu(mixed[..., :t]).transpose(1, 2)
        q, k, v = mixed.split([h * KEY, h * KEY, h * VALUE], -1)
        q, k, v = (x.reshape(b, t, h, -1).transpose(1, 2).float() for x in (q, k, v))
        log_a = -self.a_log.exp() * F.softplus(a.float() + self.dt_bias)
        beta = strength.float().sigmoid()
        with torch.autocast(u.device.type, enabled=False):
            o = delta_chunked(unit(q), unit(k), v, log_a.transpose(1, 2), beta.transpose(1, 2))
        o = rms_norm(o.to(u.dtype), self.out_norm).transpose(1, 2).reshape(b, t, -1)
        return self.out_proj(o * F.silu(z))


class AttentionMixer(nn.Module):
    def __init__(self, d, query_heads, kv_heads):
        super().__init__()
        self.query_heads, self.kv_heads = query_heads, kv_heads
        self.qkv = nn.Linear(d, (query_heads + 2 * kv_heads) * HEAD, bias=False)
        self.q_norm = nn.Parameter(torch.ones(HEAD))
        self.k_norm = nn.Parameter(torch.ones(HEAD))
        self.out_proj = nn.Linear(query_heads * HEAD, d, bias=False)

    def forward(self, u):
        b, t, _ = u.shape
        heads = self.qkv(u).reshape(b, t, -1, HEAD).transpose(1, 2)
        q, k, v = heads.split([self.query_heads, self.kv_heads, self.kv_heads], 1)
        q, k = rotate(rms_norm(q, self.q_norm)), rotate(rms_norm(k, self.k_norm))
        groups = self.query_heads // self.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        at = torch.arange(t, device=u.device)
        behind = at[:, None] - at[None, :]
        mask = (behind >= 0) & (behind < WINDOW)
        if hasattr(F, "scaled_dot_product_attention"):
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=None if t <= WINDOW else mask, is_causal=t <= WINDOW)
        else:
            scores = (q @ k.transpose(-1, -2)) / math.sqrt(HEAD)
            o = scores.masked_fill(~mask, -math.inf).softmax(-1) @ v
        return self.out_proj(o.transpose(1, 2).reshape(b, t, -1))


def rotate(x):
    half = HEAD // 2
    at = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)
    angle = at[:, None] * THETA ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(nn.Module):
    def __init__(self, size, attends):
        super().__init__()
        d, f = size["width"], size["ffn"]
        self.mixer_norm = nn.Parameter(torch.ones(d))
        self.mixer = (
            AttentionMixer(d, size["query_heads"], size["kv_heads"]) if attends else DeltaMixer(d, size["heads"])
        )
        self.ffn_norm = nn.Parameter(torch.ones(d))
        self.gate_up = nn.Linear(d, 2 * f, bias=False)
        self.down = nn.Linear(f, d, bias=False)

    def forward(self, x):
        x = x + self.mixer(rms_norm(x, self.mixer_norm))
        gate, up = self.gate_up(rms_norm(x, self.ffn_norm)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Network(nn.Module):
    def __init__(self, size, levels):
        super().__init__()
        d = size["width"]
        self.embedding = nn.Parameter(torch.randn(size["vocab"], d) * 0.02)
        blocks = size["blocks"]
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(size, i + 1 == blocks) for i in range(blocks)) for _ in range(levels)
        )
        self.exit_norms = nn.ParameterList(nn.Parameter(torch.ones(d)) for _ in range(levels))
        self.exit_downs = nn.ModuleList(nn.Linear(d, size["rank"], bias=False) for _ in range(levels))
        self.exit_ups = nn.ModuleList(nn.Linear(size["rank"], d, bias=False) for _ in range(levels))
        for up in self.exit_ups:
            nn.init.zeros_(up.weight)

    def forward(self, tokens):
        x = rms_norm(F.embedding(tokens, self.embedding))
        states = []
        for stage, norm, down, up in zip(self.stages, self.exit_norms, self.exit_downs, self.exit_ups):
            for block in stage:
                x = block(x)
            e = rms_norm(x, norm)
            states.append(e + up(down(e)))
        return states

    def loss(self, tokens, targets, stride, distill):
        """CE3 + 0.3 CE2 + 0.3 CE1, the lower ones distilled from the last, on every n-th position."""
        states = [s.flatten(0, 1) for s in self(tokens)]
        targets = targets.flatten()
        weights = [0.3, 0.3, 1.0][-len(states):]
        last = (states[-1] @ self.embedding.to(states[-1].dtype).t()).float()
        loss = weights[-1] * F.cross_entropy(last, targets)
        teacher = last.detach()[::stride].softmax(-1)
        for state, weight in zip(states[:-1], weights):
            logits = (state[::stride] @ self.embedding.to(state.dtype).t()).float()
            hard = F.cross_entropy(logits, targets[::stride])
            soft = F.cross_entropy(logits, teacher)
            loss = loss + weight * ((1 - distill) * hard + distill * soft)
        return loss


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                momentum = state.setdefault("momentum", torch.zeros_like(p))
                momentum.mul_(0.95).add_(p.grad)
                x = p.grad.add(momentum, alpha=0.95)
                x = x.bfloat16() if p.is_cuda else x
                tall = x.shape[0] > x.shape[1]
                x = x.t() if tall else x
                x = x / x.norm().clamp_min(1e-7)
                for _ in range(5):
                    gram = x @ x.t()
                    x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
                x = x.t() if tall else x
                p.mul_(1 - group["lr"] * 0.1)
                p.add_(x.to(p.dtype), alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))


def check():
    """The chunked form equals the recurrence, forward and backward."""
    torch.manual_seed(1)
    b, h, t = 2, 2, 3 * CHUNK
    q, k = (unit(torch.randn(b, h, t, KEY)).double().requires_grad_() for _ in range(2))
    v = torch.randn(b, h, t, VALUE).double().requires_grad_()
    log_a = -torch.rand(b, h, t).double() * 0.1
    beta = torch.rand(b, h, t).double()
    outs = [f(q, k, v, log_a, beta) for f in (delta_recurrent, delta_chunked)]
    difference = (outs[0] - outs[1]).abs().max().item()
    probe = torch.randn_like(outs[0])
    grads = [torch.autograd.grad((o * probe).sum(), (q, k, v)) for o in outs]
    difference = max([difference] + [(a - c).abs().max().item() for a, c in zip(*grads)])
    if difference > 1e-9:
        sys.exit(f"the chunked delta rule differs from the recurrence by {difference}")
    return difference


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="nano")
    parser.add_argument("--levels", type=int, choices=(1, 2, 3), default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--distill", type=float, default=0.5)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="dry run: f32 on the processor")
    parser.add_argument("--check", action="store_true", help="compare the chunked form with the recurrence first")
    args = parser.parse_args()
    if args.seq_len % CHUNK:
        parser.error(f"--seq-len must be a multiple of {CHUNK}")
    report = {"torch": torch.__version__, "python": platform.python_version(), **vars(args)}
    if args.check:
        report["chunked_minus_recurrent"] = check()
    device = "cpu" if args.cpu else "cuda"
    report["device"] = "cpu" if args.cpu else torch.cuda.get_device_name()
    torch.manual_seed(1)
    size = SIZES[args.size]
    network = Network(size, args.levels).to(device)
    report["parameters"] = sum(p.numel() for p in network.parameters())
    hidden = [p for n, p in network.named_parameters() if p.ndim == 2 and n != "embedding"]
    known = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if id(p) not in known]
    optimisers = [Muon(hidden, 3e-3), torch.optim.AdamW(rest, lr=2e-3, betas=(0.9, 0.95), weight_decay=0.0)]
    loss_of = network.loss
    report["compiled"] = hasattr(torch, "compile") and not args.no_compile
    if report["compiled"]:
        loss_of = torch.compile(loss_of)
    shape = (args.batch, args.seq_len)
    tokens = torch.randint(8, size["vocab"], shape, device=device)
    targets = torch.randint(8, size["vocab"], shape, device=device)

    def step():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=not args.cpu):
            loss = loss_of(tokens, targets, args.stride, args.distill)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        network.zero_grad(set_to_none=True)
        return loss.item()

    started = time.perf_counter()
    losses = [step() for _ in range(3)]
    report["warm_up_s"] = time.perf_counter() - started
    if not args.cpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(args.steps):
        started = time.perf_counter()
        losses.append(step())
        if not args.cpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    count = args.batch * args.seq_len
    report["losses"] = [losses[0], losses[-1]]
    report["tokens_per_s"] = count / statistics.median(seconds)
    report["tokens_per_s_spread"] = [count / max(seconds), count / min(seconds)]
    report["peak_memory_bytes"] = None if args.cpu else torch.cuda.max_memory_allocated()
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
