"""The course's functions beside what one would use instead: the same work, the same weights, equal results.

Each contender runs in a process of its own, so that its memory can be told and its settings touch nobody; they take turns, round by
round. Peers run as their own documentation says.
"""
import contextlib
import io
import multiprocessing
import resource
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr

import plmcourse as pc
from plmcourse.contacts import ContactHead

FOLDER = str(pc.datasets.path("course-8M").parent)
SAMPLE = 40  # mutations of the recipe with one forward pass for each: their time, scaled to all


# ------------------------------------------------------------------------------------------- embedding: mean vector per protein

def proteins(count):
    """Proteins of natural lengths: a random part of those with known localisation that ESM-2 can take whole."""
    table = pc.datasets.load("localisation")
    whole = [sequence for sequence in table["sequence"] if len(sequence) <= 1022]
    return [whole[i] for i in np.random.default_rng(0).permutation(len(whole))[:count]]


def embed_plmcourse(plm, sequences):
    return lambda: np.stack([states.mean(0) for states in pc.embed(plm, sequences)])


def embed_extract(plm, sequences):
    """fair-esm's scripts/extract.py: sorted by length, toks_per_batch 4096."""
    from esm import FastaBatchedDataset

    model, alphabet = pc.to_fair_esm(plm)
    layer = model.num_layers

    @torch.no_grad()
    def work():
        data = FastaBatchedDataset([str(number) for number in range(len(sequences))], sequences)
        loader = torch.utils.data.DataLoader(data, collate_fn=alphabet.get_batch_converter(1022),
                                             batch_sampler=data.get_batch_indices(4096, extra_toks_per_seq=1))
        found = {}
        for labels, strings, tokens in loader:
            out = model(tokens, repr_layers=[layer], return_contacts=False)
            states = out["representations"][layer].to(device="cpu")
            for i, label in enumerate(labels):
                found[int(label)] = states[i, 1:min(1022, len(strings[i])) + 1].mean(0).clone()
        return np.stack([found[number] for number in range(len(sequences))])

    return work


def embed_pipeline(plm, sequences):
    """transformers' feature-extraction pipeline."""
    from transformers import EsmModel, pipeline

    model = EsmModel.from_pretrained(FOLDER, dtype=torch.float32, add_pooling_layer=False)
    extract = pipeline("feature-extraction", model=model, tokenizer=plm.tokenizer, device="cpu")
    return lambda: np.stack([states[0, 1:-1].mean(0) for states in extract(sequences, return_tensors=True)])


def embed_one_by_one(plm, sequences):
    """What tutorials do: a protein at a time through fair-esm."""
    model, alphabet = pc.to_fair_esm(plm)
    convert = alphabet.get_batch_converter()

    @torch.no_grad()
    def work():
        found = []
        for sequence in sequences:
            _, _, tokens = convert([("protein", sequence)])
            states = model(tokens, repr_layers=[model.num_layers])["representations"][model.num_layers]
            found.append(states[0, 1:len(sequence) + 1].mean(0))
        return np.stack(found)

    return work


# ------------------------------------------------------------------------------------------------ all single mutants of TEM-1

def tem1(_):
    return pc.datasets.load("wild_types")["tem1"]


def scan_plmcourse(plm, sequence):
    return lambda: pc.masked_marginals(plm, sequence).numpy()


def scan_masked_marginals(plm, sequence):
    """fair-esm's examples/variant-prediction/predict.py, masked-marginals: a forward pass for each position."""
    model, alphabet = pc.to_fair_esm(plm)
    columns = [alphabet.get_idx(letter) for letter in pc.RESIDUES]

    @torch.no_grad()
    def work():
        _, _, tokens = alphabet.get_batch_converter()([("protein", sequence)])
        rows = []
        for place in range(1, len(sequence) + 1):
            masked = tokens.clone()
            masked[0, place] = alphabet.mask_idx
            scores = torch.log_softmax(model(masked)["logits"], -1)[0, place]
            rows.append(scores[columns] - scores[alphabet.get_idx(sequence[place - 1])])
        return np.stack(rows)

    return work


def scan_each_mutation(plm, sequence):
    """The lecture's way: for each mutation mask its position, run the model, compare two letters. Only a sample is run."""
    model, alphabet = pc.to_fair_esm(plm)
    convert, every = alphabet.get_batch_converter(), max(1, 19 * len(sequence) // SAMPLE)
    mutations = [(place, letter) for place in range(len(sequence)) for letter in pc.RESIDUES if letter != sequence[place]][::every]

    @torch.no_grad()
    def work():
        found = np.full((len(sequence), 20), np.nan)
        for place, letter in mutations:
            _, _, tokens = convert([("protein", sequence)])
            tokens[0, place + 1] = alphabet.mask_idx
            scores = torch.log_softmax(model(tokens)["logits"][0, place + 1], -1)
            found[place, pc.RESIDUES.index(letter)] = scores[alphabet.get_idx(letter)] - scores[alphabet.get_idx(sequence[place])]
        return found

    work.scale = 19 * len(sequence) / len(mutations)
    return work


# --------------------------------------------------------------------------------------------------------------- contact maps

def chains(count):
    return [chain["sequence"] for chain in pc.datasets.chains("chains_test")[:count]]


def contact_weights(plm):
    """Weights for all heads, the same for everybody: what they say is of no matter here."""
    return np.random.default_rng(0).normal(scale=5, size=(plm.config.num_hidden_layers, plm.config.num_attention_heads)).astype(np.float32)


def contacts_plmcourse(plm, sequences):
    head = ContactHead(contact_weights(plm), -1.0)
    return lambda: [head.predict_sequence(plm, sequence) for sequence in sequences]


def _set_head(head, plm):
    with torch.no_grad():
        head.regression.weight.copy_(torch.as_tensor(contact_weights(plm)).reshape(1, -1))
        head.regression.bias.fill_(-1.0)


def contacts_fair_esm(plm, sequences):
    """fair-esm's predict_contacts, a chain at a time."""
    model, alphabet = pc.to_fair_esm(plm)
    _set_head(model.contact_head, plm)
    convert = alphabet.get_batch_converter()

    @torch.no_grad()
    def work():
        return [model.predict_contacts(convert([("chain", sequence)])[2])[0].numpy() for sequence in sequences]

    return work


def contacts_transformers(plm, sequences):
    """transformers' predict_contacts, a chain at a time."""
    from transformers import EsmForMaskedLM

    model = EsmForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    _set_head(model.esm.contact_head, plm)

    @torch.no_grad()
    def work():
        found = []
        for sequence in sequences:
            given = plm.tokenizer(sequence, return_tensors="pt")
            found.append(model.predict_contacts(given["input_ids"], given["attention_mask"])[0].numpy())
        return found

    return work


# ------------------------------------------------------------------------------------------------------------ the comparison

@dataclass(frozen=True)
class Task:
    """Work, the course's way to do it first, and how far results may differ."""

    title: str
    data: callable
    count: int
    contenders: dict
    tolerance: float


TASKS = {
    "embed": Task("mean vectors of {count} proteins of natural lengths", proteins, 1000,
                  {"plmcourse": embed_plmcourse, "fair-esm extract.py": embed_extract, "transformers pipeline": embed_pipeline,
                   "one by one (fair-esm)": embed_one_by_one}, 1e-4),
    "scan": Task("all single mutants of TEM-1", tem1, 1,
                 {"plmcourse": scan_plmcourse, "fair-esm masked-marginals": scan_masked_marginals,
                  "a forward pass per mutation (fair-esm)": scan_each_mutation}, 1e-3),
    "contacts": Task("contact maps of {count} chains", chains, 60,
                     {"plmcourse": contacts_plmcourse, "fair-esm predict_contacts": contacts_fair_esm,
                      "transformers predict_contacts": contacts_transformers}, 1e-4),
}
HALF = "plmcourse, bfloat16"  # by autocast; a contender more, whose results may differ: how far is part of the table


def _contend(pipe, task, name, count, threads):
    """In a process of its own: get ready, run once to warm up, then once for each message."""
    torch.set_num_threads(threads)
    data = TASKS[task].data(count)
    with contextlib.redirect_stdout(io.StringIO()):
        plm = pc.load(FOLDER, "cpu")
    work = TASKS[task].contenders["plmcourse" if name == HALF else name](plm, data)
    if name == HALF:
        torch.set_autocast_enabled("cpu", True)  # for the rest of this process; bfloat16 is what a CPU's autocast takes
    result = work()
    pipe.send([np.asarray(array, dtype=np.float64) for array in result])
    while pipe.recv():
        start = time.perf_counter()
        work()
        pipe.send((time.perf_counter() - start) * getattr(work, "scale", 1))
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


class Contender:
    """A process that does the work when told to."""

    def __init__(self, task, name, count, threads):
        context = multiprocessing.get_context("spawn")
        self.name, self.seconds = name, []
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_contend, args=(theirs, task, name, count, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.result = self.pipe.recv()

    def round(self):
        self.pipe.send(True)
        self.seconds.append(self.pipe.recv())

    def end(self):
        self.pipe.send(False)
        self.peak = self.pipe.recv()
        self.process.join()


def compare(task, rounds=5, count=None, threads=None):
    """Run all contenders of a task in turn.

    Returns
    -------
    title : str
    rows : list of dict
        name, seconds (median), ratio (peer's time / ours, median over rounds), low, high, memory (bytes), differs (from ours), and
        for bfloat16 spearman and cosine.

    Raises
    ------
    ValueError
        If somebody's results are not ours.
    """
    work = TASKS[task]
    count = min(count or work.count, work.count)  # of chains there are no more
    names = [*work.contenders] + ([HALF] if task != "contacts" else [])
    contenders = [Contender(task, name, count, threads or torch.get_num_threads()) for name in names]
    for _ in range(rounds):
        for contender in contenders:
            contender.round()
    rows, ours = [], contenders[0]
    for contender in contenders:
        contender.end()
        ratios = [theirs / mine for theirs, mine in zip(contender.seconds, ours.seconds)]
        row = {"name": contender.name, "seconds": statistics.median(contender.seconds), "ratio": statistics.median(ratios),
               "low": min(ratios), "high": max(ratios), "memory": contender.peak, "differs": _difference(ours.result, contender.result)}
        if contender.name == HALF:
            mine, half = (np.stack(one.result) for one in (ours, contender))
            row |= {"spearman": float(spearmanr(mine.ravel(), half.ravel())[0]),
                    "cosine": float(((mine * half).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(half, axis=1)).min())}
        elif row["differs"] > work.tolerance:
            raise ValueError(f"{contender.name} and plmcourse disagree by {row['differs']:.2g}")
        rows.append(row)
    return work.title.format(count=f"{count:,}"), rows


def _difference(ours, theirs):
    """The largest absolute difference; what a sample left out does not count."""
    return max(float(np.nanmax(abs(mine - other))) for mine, other in zip(ours, theirs, strict=True) if not np.isnan(other).all())
