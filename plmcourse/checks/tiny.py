"""Small models for the checks: answers must hold for any weights, and a tiny model answers in a millisecond."""

import contextlib
import functools
import io

import torch

from plmcourse import datasets
from plmcourse.checks import inputs
from plmcourse.models import EMBEDDED, load, untrained


@functools.cache
def tiny_plm(seed=0):
    """A random ESM-2 with 3 layers of 16 dimensions, its weights large enough that every position differs from the next."""
    plm = untrained(layers=3, dim=16, heads=2, attention="sdpa")
    generator = inputs.generator(seed)
    with torch.no_grad():
        for parameter in plm.model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.5, generator=generator)
    return plm


@functools.cache
def course_plm():
    """The embedded checkpoint, loaded without a word."""
    with contextlib.redirect_stdout(io.StringIO()):
        return load(datasets.path(EMBEDDED).parent, device="cpu")
