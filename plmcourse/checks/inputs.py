"""Where the checks get their inputs from: proteins and random numbers, others for each value of ``PLMCOURSE_SEED``.

With 0, the default, everyone sees the same cases again and again. An instructor grades with a seed of the course's own, so that an answer
which knows the visible cases by heart gains nothing.
"""

import functools
import os

import numpy as np
import torch

from plmcourse.sequences import RESIDUES

SEED = int(os.environ.get("PLMCOURSE_SEED", "0"))


def generator(seed=0):
    """A torch.Generator of its own for each pair of this number and the course's seed."""
    return torch.Generator().manual_seed(seed if SEED == 0 else int(np.random.SeedSequence([SEED, seed]).generate_state(1)[0]))


def rng(seed=0):
    """The same for NumPy."""
    return np.random.default_rng(seed if SEED == 0 else [SEED, seed])


@functools.cache
def _letters():
    shuffled = RESIDUES if SEED == 0 else "".join(rng().permutation(list(RESIDUES)))
    return str.maketrans(RESIDUES + RESIDUES.lower(), shuffled + shuffled.lower())


def protein(text):
    """The sequence with its standard residues renamed, one to one: equal letters stay equal, the length stays, X and the like stay."""
    return text.translate(_letters())
