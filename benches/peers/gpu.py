"""The model of archipel-trainer in PyTorch, in bf16 on one card: the yardstick of benches/gpu.sh.

Llama's shape: RMS norm, rotary positions, causal attention, SwiGLU, an untied head. Products in
bf16 by autocast, weights and AdamW (fused) in f32, gradients summed over micro-batches. Prints one
JSON object a mode, and one for the card's own limit: the largest rate of a bf16 product measured.
"""

import argparse
import json
import math
import time

import torch
import torch.nn.functional as F
from torch import nn


class Norm(nn.Module):
    def __init__(self, width, eps=1e-5):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cosines, sines):
    left, right = x.chunk(2, -1)
    return torch.cat((left * cosines - right * sines, right * cosines + left * sines), -1)


class Block(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.heads = a.heads
        self.norm_in, self.norm_mlp = Norm(a.d_model), Norm(a.d_model)
        self.qkv = nn.Linear(a.d_model, 3 * a.d_model, bias=False)
        self.out = nn.Linear(a.d_model, a.d_model, bias=False)
        self.gate_up = nn.Linear(a.d_model, 2 * a.ffn, bias=False)
        self.down = nn.Linear(a.ffn, a.d_model, bias=False)

    def forward(self, x, cosines, sines):
        windows, length, width = x.shape
        qkv = self.qkv(self.norm_in(x)).view(windows, length, 3, self.heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        q, k = (rotate(part, cosines, sines).to(v.dtype) for part in (q, k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(windows, length, width))
        gate, up = self.gate_up(self.norm_mlp(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embed = nn.Embedding(a.vocabulary, a.d_model)
        self.blocks = nn.ModuleList(Block(a) for _ in range(a.layers))
        self.norm, self.head = Norm(a.d_model), nn.Linear(a.d_model, a.vocabulary, bias=False)
        width = a.d_model // a.heads
        angles = torch.outer(
            torch.arange(a.context), 10_000.0 ** (-torch.arange(0, width, 2) / width)
        )
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                residual = name.endswith(("out.weight", "down.weight"))
                scale = math.sqrt(2 * a.layers) if residual else 1.0
                nn.init.normal_(weight, std=0.02 / scale)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x, self.cosines, self.sines)
        logits = self.head(self.norm(x)).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def flop_per_token(a):
    """As archipel-trainer counts: 6 a multiplied weight, 6·context·d a layer for attention."""
    layer = 4 * a.d_model**2 + 3 * a.d_model * a.ffn + a.context * a.d_model
    return 6 * (a.layers * layer + a.d_model * a.vocabulary)


def train(a, compiled):
    torch.manual_seed(1)
    model = Decoder(a).cuda()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    run = torch.compile(model) if compiled else model
    text = torch.randint(0, 256, (1 << 20,), device="cuda")
    offsets = torch.arange(a.context + 1, device="cuda")

    def step():
        starts = torch.randint(0, len(text) - a.context, (a.batch, 1), device="cuda")
        for windows in (text[starts + offsets]).split(a.micro_batch):
            with torch.autocast("cuda", torch.bfloat16):
                loss = run(windows[:, :-1], windows[:, 1:])
            (loss * len(windows) / a.batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    for _ in range(5):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    for _ in range(a.steps):
        loss = step()
    last = loss.item()
    seconds = time.perf_counter() - begun
    tokens = a.steps * a.batch * a.context / seconds
    return {
        "question": "pytorch",
        "mode": "compile" if compiled else "eager",
        "version": torch.__version__,
        "tokens_per_s": tokens,
        "flop_per_s": tokens * flop_per_token(a),
        "peak_bytes": torch.cuda.max_memory_allocated(),
        "last_loss": last,
    }


def limit():
    """The largest rate of square bf16 products, over sizes."""
    best = 0.0
    for size in (4096, 8192, 16384):
        left = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
        for _ in range(3):
            left @ left
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(10):
            left @ left
        torch.cuda.synchronize()
        best = max(best, 20 * size**3 / (time.perf_counter() - begun))
    return {
        "question": "limit",
        "card": torch.cuda.get_device_name(),
        "matmul_flop_per_s": best,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in [
        ("d-model", 768), ("layers", 12), ("heads", 12), ("context", 1024), ("batch", 32),
        ("micro-batch", 8), ("ffn", 3072), ("vocabulary", 32_000), ("steps", 20),
    ]:
        parser.add_argument(f"--{name}", type=int, default=value)
    a = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    print(json.dumps(limit()), flush=True)
    for compiled in (False, True):
        print(json.dumps(train(a, compiled)), flush=True)


if __name__ == "__main__":
    main()
