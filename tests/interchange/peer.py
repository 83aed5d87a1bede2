"""The other side of the interchange test: transformers, asked through a JSON file.

    peer.py check              says which versions are here
    peer.py load JOBS          logits of folders that Archipel wrote, and their tokenizers
    peer.py save JOBS          folders as transformers writes them, and their logits

JOBS is a file with a list of jobs; the answer is one JSON line on stdout. Contexts are lists of
token ids; logits are those after a context's last token. No network is used.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import torch
import transformers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

TEXTS = [
    "plain words",
    "  two spaces,\ttab\r\n\n and a line's end \n",
    "Grüße, naïve café: 1 000 €",
    "日本語 中文 한국어 العربية עברית हिन्दी",
    "😀 👩‍👩‍👧 \u0000 \u007f \u00ad \ufeff \u2028",
    "<s> </s> <unk> [CLS] Ġ Ċ Ā",
    "",
    "x" * 3000,
]


@torch.no_grad()
def logits(model, contexts):
    """Logits after each context, in 32-bit floats."""
    model = model.float().eval()
    return [model(torch.tensor([context])).logits[0, -1].tolist() for context in contexts]


@torch.no_grad()
def greedy(model, context, count):
    """The likeliest tokens that follow, without a cache."""
    tokens = list(context)
    for _ in range(count):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(context) :]


def check_bytes(tokenizer):
    """Every byte is the token of its value, and text comes back as it was."""
    assert tokenizer.vocab_size == 256 and len(tokenizer) == 256, len(tokenizer)
    assert sorted(tokenizer.get_vocab().values()) == list(range(256))
    every = "".join(map(chr, range(0xD800))) + "".join(map(chr, range(0xE000, 0x110000)))
    for text in [*TEXTS, every]:
        ids = tokenizer(text)["input_ids"]
        assert ids == list(text.encode()), f"{text[:40]!r}: {ids[:40]}"
        back = tokenizer.decode(ids)
        assert back == text, f"{text[:40]!r} came back as {back[:40]!r}"
    # Bytes that no UTF-8 has are tokens as well; alone they are no text.
    for byte in range(256):
        token = tokenizer.convert_ids_to_tokens(byte)
        assert tokenizer.convert_tokens_to_ids(token) == byte, byte
        alone = tokenizer.decode([byte])
        assert alone == bytes([byte]).decode("utf-8", "replace"), f"{byte}: {alone!r}"


def load(job):
    model = LlamaForCausalLM.from_pretrained(job["dir"])
    assert model.dtype == torch.float32, model.dtype
    check_bytes(AutoTokenizer.from_pretrained(job["dir"]))
    follow = model.generate(
        torch.tensor([job["contexts"][0]]), max_new_tokens=4, do_sample=False, temperature=None,
        top_k=None,
    )
    assert follow.shape[1] == len(job["contexts"][0]) + 4, follow.shape
    return {"logits": logits(model, job["contexts"])}


def save(job):
    torch.manual_seed(job["seed"])
    model = LlamaForCausalLM(LlamaConfig(**job["config"]))
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        parameter.data = 1 + 0.1 * noise if parameter.dim() == 1 else 0.2 * noise
    if job["config"].get("tie_word_embeddings"):
        model.tie_weights()
    model = model.to(getattr(torch, job["dtype"]))
    model.save_pretrained(job["dir"], max_shard_size=job["shard"])
    model = LlamaForCausalLM.from_pretrained(job["dir"], dtype=torch.float32)
    found = logits(model, job["contexts"])
    return {"logits": found, "greedy": greedy(model, job["contexts"][0], 8)}


def main():
    if sys.argv[1] == "check":
        print(f"transformers {transformers.__version__}, torch {torch.__version__}")
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        jobs = json.load(file)
    answer = {"load": load, "save": save}[sys.argv[1]]
    print(json.dumps([answer(job) for job in jobs]))


main()
