"""Zero-shot scores: what a masked language model finds plausible at each position of a protein."""
import math

import numpy as np
import torch
from tqdm.auto import tqdm

from plmcourse.sequences import MASK, PAD, RESIDUES, TOKEN_ID, clean, locate

_FIRST, _LAST = 4, 24  # ids of the 20 standard amino acids, as a slice


def _standard(sequence):
    """The sequence in upper case, made of standard residues only: a log-odds against X would mean nothing."""
    return clean(sequence, alphabet=RESIDUES)


def masked_log_probs(plm, sequence, positions=None, tokens_per_batch=None):
    """Log-probabilities of all 33 tokens at each position, that position masked and all others visible.

    Parameters
    ----------
    plm : PLM
    sequence : str
    positions : sequence of int, optional
        Residue indices from 0; all of them by default.
    tokens_per_batch : int, optional
        Masked copies are run together up to this many tokens; by default what suits the device.

    Returns
    -------
    Tensor, shape [positions, 33], float32 on the CPU
    """
    sequence = _standard(sequence)
    tokens = plm.tokenize([sequence])[0]
    places = torch.arange(len(sequence)) if positions is None else torch.as_tensor(positions)
    chunks = places.split(max(1, (tokens_per_batch or plm.tokens_per_batch) // len(tokens)))
    found = []
    with tqdm(total=len(places), unit="residue", desc="masking", delay=1, leave=False) as bar:
        for log_probs in plm.each(lambda chunk: _log_probs_at(plm, tokens, chunk + 1), chunks):  # <cls> comes first
            found.append(log_probs)
            bar.update(len(log_probs))
    return torch.cat(found)


@torch.no_grad()
def _log_probs_at(plm, tokens, places):
    """A copy of the tokens for each place, masked there, and what the model says about that place: [places, 33]."""
    rows, copies = torch.arange(len(places)), tokens.repeat(len(places), 1)
    copies[rows, places] = MASK
    hidden = plm.model.esm(copies, attention_mask=copies != PAD).last_hidden_state
    return plm.model.lm_head(hidden[rows, places]).float().log_softmax(-1).cpu()  # the head is needed there only


def wild_type_log_probs(plm, sequence):
    """Log-probabilities of all 33 tokens at each position with nothing masked, from a single pass. shape [L, 33]"""
    return plm.forward(plm.tokenize([_standard(sequence)])).logits[0, 1:-1].float().log_softmax(-1).cpu()


def _at_wild(log_probs, sequence):
    """The column of the wild-type residue in each row, [L, 1]."""
    return log_probs.gather(1, torch.tensor([[TOKEN_ID[letter]] for letter in sequence]))


def masked_marginals(plm, sequence):
    """Score of every single substitution: log p(mutant) - log p(wild type) at the masked position.

    Parameters
    ----------
    plm : PLM
    sequence : str
        Standard amino acids only.

    Returns
    -------
    Tensor, shape [L, 20]
        Columns in the order of ``RESIDUES`` (ids 4 to 23); zero at the wild type.

    Source: Meier et al. 2021, NeurIPS 34:29287, "masked marginals".
    """
    sequence = _standard(sequence)
    log_probs = masked_log_probs(plm, sequence)
    return log_probs[:, _FIRST:_LAST] - _at_wild(log_probs, sequence)


def wild_type_marginals(plm, sequence):
    """As :func:`masked_marginals`, but the residue stays visible: one pass instead of L ("wild-type marginals", same source)."""
    sequence = _standard(sequence)
    log_probs = wild_type_log_probs(plm, sequence)
    return log_probs[:, _FIRST:_LAST] - _at_wild(log_probs, sequence)


def mutation_score(plm, sequence, mutation, first=1):
    """Masked-marginal score of one substitution such as "M69L": log p(mutant) - log p(wild type), a float in nats.

    ``first`` is the number of the first residue in the mutation's numbering.

    Raises
    ------
    ValueError
        If the mutation is malformed, its wild type is not what the sequence holds, or its position lies outside.
    """
    sequence = _standard(sequence)
    index, mutant = locate(sequence, mutation, first)
    log_probs = masked_log_probs(plm, sequence, [index])[0]
    return (log_probs[TOKEN_ID[mutant]] - log_probs[TOKEN_ID[sequence[index]]]).item()


def pseudo_log_likelihood(plm, sequence):
    """Sum over positions of the log-probability of the true residue, each masked in turn.

    Returns
    -------
    float
        In nats; softmax over all 33 tokens.

    Source: Salazar et al. 2020, ACL, "Masked language model scoring".
    """
    sequence = _standard(sequence)
    return _at_wild(masked_log_probs(plm, sequence), sequence).sum().item()


def pseudo_perplexity(plm, sequence):
    """exp of the mean negative masked log-probability: 1 is certainty, 20 is guessing among the amino acids."""
    return math.exp(-pseudo_log_likelihood(plm, sequence) / len(sequence))


def additive_scores(table, sequence, mutations, first=1):
    """Look up mutations such as "M69L" or "M69L:K73R" in a table of single-substitution scores; a multiple mutant gets the sum.

    Parameters
    ----------
    table : array-like, shape [L, 20]
        Such as :func:`masked_marginals` returns.
    sequence : str
    mutations : iterable of str, length n
    first : int
        Number of the first residue.

    Returns
    -------
    array, shape [n]. Errors as in :func:`mutation_score`: nothing is scored silently against the wrong residue.
    """
    table = np.asarray(table)
    cache = {}

    def single(mutation):
        if mutation not in cache:
            index, mutant = locate(sequence, mutation, first)
            cache[mutation] = table[index, RESIDUES.index(mutant)]
        return cache[mutation]

    return np.array([sum(map(single, mutation.split(":"))) for mutation in mutations])
