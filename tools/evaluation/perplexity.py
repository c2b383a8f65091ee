"""Masked perplexity of proteins that were held out, against a model that only knows how common each letter is."""

from types import SimpleNamespace

import numpy as np
import torch
from tqdm.auto import tqdm

from plmcourse import datasets
from plmcourse.metrics import bootstrap_ci
from plmcourse.pretraining import masked_nll
from plmcourse.sequences import RESIDUES, TOKEN_ID, TOKENS

MASK_PROB, SEED = 0.15, 0
PUBLISHED = 10.37  # Meta's 8M on another set (OMGprot50), so for orientation only
FAMILY_SETS = {"HBB": "globins", "HRAS": "ras"}  # families whose members are among the course's data


class Unigram:
    """Stands in for a PLM, but gives the frequencies of ``train`` (add-one smoothing) at every position.

    Through :func:`masked_nll` it is asked about exactly the residues that the model is asked about.
    """

    def __init__(self, plm, train):
        text = "".join(train)
        counts = torch.tensor([text.count(letter) + 1.0 for letter in RESIDUES])
        first = TOKEN_ID[RESIDUES[0]]
        self.logits = torch.full((len(TOKENS),), -torch.inf)
        self.logits[first : first + len(RESIDUES)] = (counts / counts.sum()).log()
        self.tokenize, self.tokens_per_batch, self.device = plm.tokenize, plm.tokens_per_batch, torch.device("cpu")

    def forward(self, tokens):
        """The same 33 values at every token."""
        return SimpleNamespace(logits=self.logits.expand(*tokens.shape, -1))


def _sums(plm, sequences):
    """Summed nats and number of masked residues of each protein, shape [proteins, 2]."""
    found = masked_nll(plm, sequences, MASK_PROB, SEED)
    return np.array([(part.double().sum().item(), len(part)) for part in found])


def _perplexity(sums):
    return np.exp(sums[:, 0].sum() / sums[:, 1].sum())


def compare(plm, baselines, sequences):
    """Perplexity of a model and of baselines at the same masked residues.

    Parameters
    ----------
    plm : PLM
    baselines : dict of str to Unigram
    sequences : list of str

    Returns
    -------
    dict
        ``proteins``, ``masked_residues``; ``model`` and each baseline as [value, low, high], over proteins;
        ``ratio``, the model's perplexity over the first baseline's, proteins drawn for both alike.
    """
    model, first = _sums(plm, sequences), None
    found = {
        "proteins": len(sequences),
        "masked_residues": int(model[:, 1].sum()),
        "model": bootstrap_ci(_perplexity, model),
    }
    for name, baseline in baselines.items():
        sums = _sums(baseline, sequences)
        first = sums if first is None else first
        found[name] = bootstrap_ci(_perplexity, sums)
    found["ratio"] = bootstrap_ci(lambda a, b: _perplexity(a) / _perplexity(b), model, first)
    return found


def by_family(members):
    """Split ids such as ``"HBB|P68871"`` by family: dict of family to list of sequences.

    Raises
    ------
    ValueError
        If an id does not begin with a family.
    """
    found = {}
    for name, sequence in members.items():
        family, bar, accession = name.partition("|")
        if not (family and bar and accession):
            raise ValueError(f"id {name!r} of the held-out family members is not FAMILY|ACCESSION, as in 'HBB|P68871'")
        found.setdefault(family, []).append(sequence)
    return found


def family_unigram(plm, family, held_out):
    """The unigram of a family's own members, those held out left out; None where the course's data do not hold them."""
    if family not in FAMILY_SETS:
        return None
    away = set(held_out)
    return Unigram(plm, [s for s in datasets.load(FAMILY_SETS[family]).values() if s not in away])


def measure(plm, general=None, families=None):
    """All figures of this section, by default of ``pretrain_heldout`` and ``family_heldout``."""
    general = datasets.load("pretrain_heldout") if general is None else general
    families = by_family(datasets.load("family_heldout") if families is None else families)
    unigram = Unigram(plm, datasets.load("pretrain_train").values())
    figures = {"general": compare(plm, {"unigram": unigram}, list(general.values())), "families": {}}
    for family, members in tqdm(families.items(), desc="families", unit="family", leave=False):
        own = family_unigram(plm, family, members)
        baselines = {"unigram": unigram} | ({"unigram_of_family": own} if own else {})
        figures["families"][family] = compare(plm, baselines, members)
    return figures
