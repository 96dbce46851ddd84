"""Trains the example model that `polariscope audit --example` runs over, in about ten minutes on one thread.

    python make_example.py [FOLDER]

Needs torch, transformers, tokenizers and safetensors. What it reads, writes and decides: README.md beside it.
"""

import json
import math
import pathlib
import sys

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parent.parent / "docs"
HELD_OUT = ["theorems.md", "flow.md"]  # become text.txt; training does not see them
BEGIN = "<|begin|>"
VOCABULARY = 512
CONTEXT = 2048
# Steps, tokens of a text, texts of a step: short texts teach words cheaply, long ones then the later positions.
PHASES = [(900, 64, 40), (450, 256, 12), (50, CONTEXT, 2)]
WARM_UP = 50
PEAK_RATE = 6e-3
# Every so many steps random tokens said again and again, instead of prose, which teaches induction only slowly.
EVERY_REPEAT = 2
# Of the tokens of prose that the model reads, not of those that it is to predict: otherwise it would know the little
# text there is by heart. Only once heads have learned to look back, which it keeps them from.
SPOILT, SPOILT_FROM = 0.15, 900


def text_of(names):
    return "\n\n".join((DOCS / name).read_text(encoding="utf-8").strip() for name in names) + "\n"


def train_tokenizer(text):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [text],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[BEGIN], initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    return tokenizer


def learning_rate(step, steps):
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    share = (step - WARM_UP) / (steps - WARM_UP)
    return PEAK_RATE * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


def prose(ids, length, texts, begin):
    starts = torch.randint(len(ids) - length + 1, (texts,))
    rows = torch.stack([ids[s : s + length - 1] for s in starts])
    return torch.cat([torch.full((texts, 1), begin), rows], dim=1)


def said_again(length, texts, begin):
    """The tokens, and how many of them are said for the first time."""
    period = int(torch.randint(length // 8, length // 2, ()))
    once = torch.randint(1, VOCABULARY, (texts, period))
    again = once.repeat(1, length // period + 1)[:, : length - 1]
    return torch.cat([torch.full((texts, 1), begin), again], dim=1), period + 1


def held_out_loss(model, ids):
    model.eval()
    with torch.no_grad():
        loss = model(ids, labels=ids).loss.item()
    model.train()
    return loss


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    names = sorted(path.name for path in DOCS.glob("*.md"))
    training = text_of([name for name in names if name not in HELD_OUT])
    held_out = text_of(HELD_OUT)

    tokenizer = train_tokenizer(training)
    begin = tokenizer.token_to_id(BEGIN)
    ids = torch.tensor(tokenizer.encode(training, add_special_tokens=False).ids)
    held_out_ids = torch.tensor([tokenizer.encode(held_out).ids[:CONTEXT]])
    print(f"{len(ids)} tokens to train on, {len(tokenizer.encode(held_out).ids)} held out")

    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=64,
            intermediate_size=192,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=begin,
            eos_token_id=begin,
            initializer_range=0.1,
        )
    )
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.2}, {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98)
    )
    steps = sum(count for count, _, _ in PHASES)
    step = 0
    for count, length, texts in PHASES:
        for _ in range(count):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps)
            if step % EVERY_REPEAT == EVERY_REPEAT - 1:
                batch, new = said_again(length, texts, begin)
                labels = batch.clone()
                labels[:, :new] = -100  # what was not said before cannot be known
            else:
                batch = prose(ids, length, texts, begin)
                labels = batch
                spoilt = torch.rand(batch.shape) < (SPOILT if step >= SPOILT_FROM else 0.0)
                spoilt[:, 0] = False
                batch = torch.where(spoilt, torch.randint(1, VOCABULARY, batch.shape), batch)
            loss = model(batch, labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 50 < 2:
                of_held_out = held_out_loss(model, held_out_ids)
                print(f"step {step}: loss {loss.item():.3f}, held out {of_held_out:.3f}", flush=True)

    model.to(torch.bfloat16)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "text.txt").write_text(held_out, encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    saved = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    print(f"as saved: held out {held_out_loss(saved, held_out_ids):.4f}")


if __name__ == "__main__":
    main()
