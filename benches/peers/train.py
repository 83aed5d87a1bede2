"""Tokens a second of the decoder that `archipel bench train` measures, in PyTorch.

    python3 benches/peers/train.py --d-model 128 --layers 4 --heads 4 --context 128 --batch 16 \
        --vocab 256 --ffn 512 --threads 2 [--mode eager|compile] [--steps N] [--seconds S]

The same model (pre-norm RMS norm, rotary positions, causal attention, SwiGLU, untied head), the
same optimizer (AdamW, gradient norm clipped to 1), f32 on the CPU, written as one would write it
for speed: fused scaled-dot-product attention, one product for queries, keys and values and one for
gate and up, `torch.optim.AdamW(fused=True)`. Prints one JSON object.
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, d, heads, kv_heads, ffn):
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads, d // heads
        self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
        self.qkv = nn.Linear(d, (heads + 2 * kv_heads) * self.width, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.gate_up = nn.Linear(d, 2 * ffn, bias=False)
        self.down = nn.Linear(ffn, d, bias=False)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, self.heads + 2 * self.kv_heads, self.width)
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=2)
        q, k, v = (rotate(q, cos, sin).transpose(1, 2), rotate(k, cos, sin).transpose(1, 2),
                   v.transpose(1, 2))
        mixed = F.scaled_dot_product_attention(
            q, k, v, is_causal=True, enable_gqa=self.heads != self.kv_heads)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, d))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


class Decoder(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embed = nn.Embedding(a.vocab, a.d_model)
        self.blocks = nn.ModuleList(
            Block(a.d_model, a.heads, a.kv_heads, a.ffn) for _ in range(a.layers))
        self.norm = nn.RMSNorm(a.d_model, eps=1e-5)
        self.head = nn.Linear(a.d_model, a.vocab, bias=False)
        half = a.d_model // a.heads // 2
        frequencies = 10_000.0 ** (-torch.arange(half) / half)
        angles = torch.arange(a.context)[:, None] * frequencies
        self.register_buffer("cos", angles.cos()[None, :, None])
        self.register_buffer("sin", angles.sin()[None, :, None])
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def arguments():
    p = argparse.ArgumentParser()
    for name, default in [("d-model", 128), ("layers", 4), ("heads", 4), ("kv-heads", 0),
                          ("context", 128), ("batch", 16), ("vocab", 256), ("ffn", 512),
                          ("threads", 2), ("steps", 0)]:
        p.add_argument(f"--{name}", type=int, default=default)
    p.add_argument("--seconds", type=float, default=10.0)
    p.add_argument("--mode", choices=["eager", "compile"], default="eager")
    a = p.parse_args()
    a.kv_heads = a.kv_heads or a.heads
    return a


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    model = Decoder(a)
    parameters = sum(p.numel() for p in model.parameters())
    run = torch.compile(model) if a.mode == "compile" else model
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    data = torch.randint(a.vocab, (1 << 20,))

    def step():
        starts = torch.randint(len(data) - a.context - 1, (a.batch,)).tolist()
        windows = torch.stack([data[s:s + a.context + 1] for s in starts])
        loss = run(windows[:, :-1], windows[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    for _ in range(3):
        step()
    times, begun = [], time.perf_counter()
    while len(times) < a.steps if a.steps else time.perf_counter() - begun < a.seconds:
        at = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - at)
    tokens = a.batch * a.context
    median = statistics.median(times)
    d, kv = a.d_model, a.d_model // a.heads * a.kv_heads
    per_token = 6 * (a.layers * (d * (2 * d + 2 * kv) + 3 * d * a.ffn + a.context * d)
                     + d * a.vocab)
    print(json.dumps({
        "program": f"pytorch {torch.__version__} {a.mode}", "parameters": parameters,
        "threads": a.threads, "steps": len(times), "loss": round(loss, 4),
        "tokens_per_s": round(tokens / median, 1),
        "tokens_per_s_mean": round(tokens * len(times) / sum(times), 1),
        "flops_per_s": round(per_token * tokens / median),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
