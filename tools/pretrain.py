"""Train ESM-2's 8M architecture from random weights: ``python tools/pretrain.py build/corpus.npz OUT --seconds 7200``.

The corpus comes from ``tools/pack_corpus.py``. Each step draws crops from its three sources, masks them and takes one step of
:class:`plmcourse.pretraining.Trainer`. Where a protein comes with the profile of its homologs, the profile is part of the target: it is
what one letter averages to over a family, so it says far more per residue than the letter alone.

OUT holds ``state.pt`` (to go on from), ``training_log.jsonl``, ``training.json`` (what was done) and the weights in half precision.
The same command goes on where it was stopped, even by a kill: what a step draws depends on the seed and its number only. With a budget of
residues the result is the same to the bit; a budget of seconds ends on time instead. A larger budget continues a finished run.

On a GPU: ``PYTHONPATH=. python tools/pretrain.py corpus.npz OUT --seconds 1500 --tokens 131072 --crop 512``.
For tests: ``python tools/pretrain.py --smoke [OUT]`` trains a tiny model on proteins of ``data/``.
"""

import argparse
import copy
import json
import math
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from evaluation.perplexity import by_family
from tqdm import tqdm
from transformers.models.esm import modeling_esm

from plmcourse import datasets
from plmcourse.models import EMBEDDED, untrained
from plmcourse.pretraining import (FIRST, IGNORE, LAST, Trainer, mask_tokens, masked_perplexity, random_crop,
                                   warm_up_and_decay)
from plmcourse.sequences import CLS, EOS, PAD

# transformers writes GELU out in five elementwise steps, a fifth of the time on a CPU; PyTorch's single one gives the same numbers
modeling_esm.gelu = torch.nn.functional.gelu

ROOT = Path(__file__).resolve().parents[1]
MIXTURE = {"general": 0.15, "family": 0.5, "chain": 0.35}  # share of the crops
SIZE_POWER = {"general": 0.0, "family": 0.4, "chain": 0.0}  # a group of n proteins is drawn in proportion to n to this power
VISIBLE = 0.3  # weight of a visible position with a profile, which is its target; a masked one has 1. Falls to 0 in the last half:
# which letters may stand in for a visible one is learned early, and what its surroundings say is left to learn
LETTER = 0.5  # share of the true letter in the target of a masked position that has a profile
DECAY = 2 / 3  # share of the budget over which the learning rates fall
LOG_EVERY, MEASURE_SECONDS = 10, 600  # steps between lines of the log; seconds between held-out perplexities
MICROBATCHES = 4  # per step on a CPU: more than there are workers, so that none waits long for the other


class Corpus:
    """The packed proteins. What step k draws depends on the seed and k only."""

    def __init__(self, arrays: dict[str, np.ndarray], seed: int):
        self.tokens, self.profile, self.has_profile = arrays["tokens"], arrays["profile"], arrays["has_profile"]
        self.seed, self.length = seed, arrays["length"].astype(np.int64)
        self.first = np.cumsum(self.length) - self.length
        profiled = self.length * self.has_profile
        self.profile_first = np.cumsum(profiled) - profiled
        self.sources = arrays["sources"].tolist()
        self.groups = [self.groups_of(np.flatnonzero(arrays["source"] == i), arrays["group"], SIZE_POWER[source])
                       for i, source in enumerate(self.sources)]

    @staticmethod
    def groups_of(proteins, group, power):
        """First protein and size of each group of one source, and the cumulated chance to draw it."""
        _, at, size = np.unique(group[proteins], return_index=True, return_counts=True)
        return proteins[at], size, np.cumsum(size**power) / np.sum(size**power)

    def draw(self, step: int, crops: int, length: int) -> list:
        """Crops of one step, shortest first: pairs of tokens [T] and profile levels [T, 20], zeros where there is none."""
        chance = np.random.default_rng((self.seed, step)).random((crops, 4))
        source_of = np.searchsorted(np.cumsum([MIXTURE[source] for source in self.sources])[:-1], chance[:, 0])
        rows = []
        for source, (in_source, in_group, start) in zip(source_of, chance[:, 1:]):
            first, size, cumulated = self.groups[source]
            group = np.searchsorted(cumulated[:-1], in_source)
            rows.append(self.crop(first[group] + int(in_group * size[group]), length, start))
        return sorted(rows, key=lambda row: len(row[0]))

    def crop(self, protein, length, start):
        """A window of one protein, ``<cls>`` and ``<eos>`` where it reaches the ends."""
        residues = np.arange(self.length[protein])
        tokens = np.concatenate([[CLS], self.tokens[self.first[protein] + residues], [EOS]])
        levels = np.zeros((len(tokens), 20), np.uint8)
        if self.has_profile[protein]:
            levels[1:-1] = self.profile[self.profile_first[protein] + residues]
        return random_crop(tokens, length, start), random_crop(levels, length, start)


def padded(rows, multiple=1):
    """Tokens [B, T] and levels [B, T, 20] of a microbatch."""
    width = -(-max(len(tokens) for tokens, _ in rows) // multiple) * multiple
    tokens, levels = np.full((len(rows), width), PAD), np.zeros((len(rows), width, 20), np.uint8)
    for i, (row, profile) in enumerate(rows):
        tokens[i, : len(row)], levels[i, : len(row)] = row, profile
    return torch.from_numpy(tokens), torch.from_numpy(levels)


def microbatches(corpus, step, crops, length, device):
    """What one step learns from: a list of (corrupted, labels, levels), proteins of similar length together."""
    rows, generator = corpus.draw(step, crops, length), torch.Generator().manual_seed(corpus.seed + step)
    found, size = [], -(-len(rows) // MICROBATCHES)
    for i in range(0, len(rows), size):
        tokens, levels = padded(rows[i : i + size], 1 if device == "cpu" else 128)
        found.append(tuple(part.to(device, non_blocking=True) for part in (*mask_tokens(tokens, generator), levels)))
    return found


def loss(model, microbatch, visible=VISIBLE):
    """Summed cross-entropy and its weight. Targets: the letter where masked; the profile where there is one, masked or visible."""
    corrupted, labels, levels = microbatch
    with torch.autocast(corrupted.device.type, torch.bfloat16):
        logits = model(input_ids=corrupted, attention_mask=(corrupted != PAD).long()).logits
    log_probs = logits.float().log_softmax(-1)
    masked, profile = labels != IGNORE, levels.float().square()
    profiled = profile.sum(-1) > 0
    of_letter = -log_probs.gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    of_profile = -(profile * log_probs[..., FIRST:LAST]).sum(-1) / profile.sum(-1).clamp(min=1)
    share = torch.where(profiled, LETTER, 1.0)
    nll = torch.where(masked, share * of_letter + (1 - share) * of_profile, of_profile)
    weight = masked + visible * (profiled & ~masked)
    return (weight * nll).sum(), weight.sum()


def held_out() -> dict[str, list[str]]:
    """What the run is watched on: some of the proteins held out, in general and of each of the course's families."""
    families = by_family(datasets.load("family_heldout"))
    return {"general": list(datasets.load("pretrain_heldout").values())[:48]} | {name: s[:8] for name, s in families.items()}


def measured(plm) -> dict[str, float]:
    """Masked perplexity of each held-out set."""
    plm.model.eval()
    found = {name: round(masked_perplexity(plm, sequences), 3) for name, sequences in held_out().items()}
    plm.model.train()
    return found


class Run:
    """A training run in a folder: its budget, its state, its log."""

    def __init__(self, args, corpus, plm, description):
        self.args, self.corpus, self.plm, self.description = args, corpus, plm, description
        self.model = plm.model.to(args.device).train()
        # on a CPU compiling takes half a minute and gains nothing
        model = torch.compile(self.model, dynamic=True) if args.device == "cuda" else self.model
        self.trainer = Trainer(model, args.muon, args.adamw, args.workers)
        self.step = self.residues = 0
        self.seconds, self.losses, self.lines = 0.0, [], []
        self.log = args.out / "training_log.jsonl"
        if (args.out / "state.pt").exists():
            self.resume()

    def resume(self):
        """Go back to the last saved state; lines that the log wrote after it are dropped."""
        state = torch.load(self.args.out / "state.pt", map_location=self.args.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.trainer.load_state_dict(state["optimizers"])
        self.step, self.residues, self.seconds, self.losses = (state[k] for k in ("step", "residues", "seconds", "losses"))
        lines = map(json.loads, self.log.read_text().splitlines())
        self.lines = [line for line in lines if line["step"] <= self.step]
        self.log.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines))
        print(f"going on after step {self.step:,} ({self.residues:,} residues)")

    def done(self) -> float:
        """Share of the budget that is spent."""
        return self.residues / self.args.residues if self.args.residues else self.seconds / self.args.seconds

    def train(self):
        """Until the budget is spent."""
        args, begin = self.args, time.monotonic() - self.seconds
        saved, shown = self.seconds, max((line["seconds"] for line in self.lines if "perplexity" in line), default=-math.inf)
        draw = partial(microbatches, self.corpus, crops=args.tokens // args.crop, length=args.crop, device=args.device)
        ahead = ThreadPoolExecutor(1)  # draws the next step while this one is computed: a GPU would wait for it
        coming = ahead.submit(draw, self.step)
        with tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed}<{remaining}{postfix}", disable=None) as bar:
            while (done := self.done()) < 1:
                rate = warm_up_and_decay(done, decay=DECAY)
                batch, coming = coming.result(), ahead.submit(draw, self.step + 1)
                weighted = partial(loss, visible=VISIBLE * min(1, 2 * (1 - done)))
                self.losses.append(self.trainer.step(batch, weighted, rate))
                self.residues += sum(int((part[0] >= FIRST).sum()) for part in batch)
                self.step += 1
                self.seconds = time.monotonic() - begin
                bar.update(100 * min(1, self.done()) - bar.n)
                ended = self.done() >= 1
                if ended or self.step % LOG_EVERY == 0:
                    self.write(rate, measure=ended or self.seconds - shown >= MEASURE_SECONDS)
                    bar.set_postfix_str(f"{self.residues / self.seconds:,.0f} residues/s, loss {self.lines[-1]['loss']:.3f}")
                    shown = self.seconds if "perplexity" in self.lines[-1] else shown
                if ended or self.seconds - saved >= args.save_seconds:
                    self.save()
                    saved = self.seconds

    def write(self, rate, measure):
        """One line of the log: the mean loss since the last one, and now and then the held-out perplexities."""
        line = {"step": self.step, "seconds": round(self.seconds, 1), "residues": self.residues,
                "loss": round(float(np.mean(self.losses)), 4), "rate": round(rate, 4),
                "residues_per_second": round(self.residues / self.seconds)}
        self.losses = []
        if measure:
            line["perplexity"] = measured(self.plm)
        self.lines.append(line)
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def save(self):
        """State, weights and description; a kill in between leaves the state before."""
        state = {"model": self.model.state_dict(), "optimizers": self.trainer.state_dict(), "step": self.step,
                 "residues": self.residues, "seconds": self.seconds, "losses": self.losses}
        torch.save(state, self.args.out / "state.part")
        (self.args.out / "state.part").replace(self.args.out / "state.pt")
        halved(self.model).save_pretrained(self.args.out)
        for name in ("vocab.txt", "tokenizer_config.json"):
            shutil.copyfile(datasets.path(EMBEDDED).parent / name, self.args.out / name)
        facts = {"steps": self.step, "residues": self.residues, "seconds": round(self.seconds), **self.description}
        if continued := raised_again(self.lines):
            facts["learning rate raised again after steps"] = continued
        (self.args.out / "training.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def halved(model):
    """A copy in half precision, but for the angles of the rotary embeddings: the error of a rounded one grows with the position."""
    copied = copy.deepcopy(model).half()
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq"):
            module, _, last = name.rpartition(".")
            setattr(copied.get_submodule(module), last, buffer.clone())
    return copied


def raised_again(log: list[dict]) -> list[int]:
    """Steps after which the learning rates rose although they had fallen: there a finished run was continued."""
    found, fell = [], False
    for line, following in zip(log, log[1:]):
        fell |= following["rate"] < line["rate"]
        if fell and following["rate"] > line["rate"]:
            found.append(line["step"])
    return found


def smoke_corpus() -> dict[str, np.ndarray]:
    """Some proteins of ``data/`` from each source, packed like the real corpus."""
    from pack_corpus import pack

    general = list(datasets.load("pretrain_train").values())[:40]
    family = list(datasets.load("globins").values())[:40]
    rows = [*(("general", i, sequence, None) for i, sequence in enumerate(general)),
            *(("family", 0, sequence, None) for sequence in family),
            *(("chain", i, c["sequence"], c["profile"]) for i, c in enumerate(datasets.chains("chains_train")[:20]))]
    return pack(rows, ["general", "family", "chain"])


def described(args, corpus) -> dict:
    """What the model card says about the run, besides its length."""
    counts = {source: (int((corpus["source"] == i).sum()), int(corpus["length"][corpus["source"] == i].sum()))
              for i, source in enumerate(corpus["sources"].tolist())}
    return {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else f"CPU, {args.workers} threads",
        "torch": torch.__version__, "seed": args.seed, "precision": "bfloat16 activations, float32 weights",
        "corpus": {source: {"proteins": n, "residues": residues, "share of crops": MIXTURE[source],
                            "group size to the power": SIZE_POWER[source]} for source, (n, residues) in counts.items()},
        "left out of the corpus": "proteins of which 80 % align with 80 % of a held-out one at 50 % identity or more",
        "crops": f"{args.tokens // args.crop} per step, at most {args.crop} tokens",
        "masking": "15 % of the residues: 80 % <mask>, 10 % random, 10 % unchanged",
        "targets": f"masked: the letter, with a profile {LETTER:g} letter and {1 - LETTER:g} profile; visible, with a profile: the "
                   f"profile, weight {VISIBLE:g}, in the last half falling to 0",
        "optimisers": f"Muon {args.muon:g} for the encoder's matrices, AdamW {args.adamw:g} for the rest",
        "schedule": "2 % warm-up, level, linear decay over the last two thirds of the time",
    }


def arguments():
    """The command line."""
    ask = argparse.ArgumentParser(description="Train the course's checkpoint (see the head of this file).")
    ask.add_argument("corpus", nargs="?", help="file from tools/pack_corpus.py; with --smoke the folder, if any, comes first")
    ask.add_argument("out", nargs="?", type=Path, help="folder; a run in it is continued")
    ask.add_argument("--smoke", action="store_true", help="a tiny model on proteins of data/, in seconds")
    budget = ask.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, default=3600, help="stop after so much training time")
    budget.add_argument("--residues", type=float, help="stop after so many residues")
    ask.add_argument("--tokens", type=int, default=4096, help="tokens per step")
    ask.add_argument("--crop", type=int, default=192, help="longest piece of a protein, in tokens")
    ask.add_argument("--muon", type=float, default=0.02, help="peak learning rate of the encoder's matrices")
    ask.add_argument("--adamw", type=float, default=2e-3, help="peak learning rate of the rest")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--save-seconds", type=float, default=120, help="time between two saved states")
    ask.add_argument("--workers", type=int, help="threads on a CPU (default: all cores)")
    args = ask.parse_args()
    if args.smoke:
        args.out = Path(args.corpus or ROOT / "build" / "smoke")
    elif args.out is None:
        ask.error("a corpus and a folder are needed, or --smoke")
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    args.workers = 1 if args.device == "cuda" else args.workers or len(os.sched_getaffinity(0))
    return args


def main():
    args, size = arguments(), {"layers": 6, "dim": 320, "heads": 20}
    if args.smoke:
        arrays, size = smoke_corpus(), {"layers": 2, "dim": 32, "heads": 4}
        args.tokens, args.crop, args.save_seconds, args.residues = 512, 64, 0, args.residues or 12_000
    else:
        with np.load(args.corpus) as packed:
            arrays = dict(packed)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cpu":
        torch.set_num_threads(1)  # the workers share the cores
    plm = untrained(**size, seed=args.seed, attention="eager" if args.device == "cpu" else "sdpa")
    Run(args, Corpus(arrays, args.seed), plm, described(args, arrays)).train()


if __name__ == "__main__":
    main()
