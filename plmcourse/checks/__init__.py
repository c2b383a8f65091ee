"""Checks of the exercises: ``check``, ``hint``, ``progress``. One module per notebook holds the steps."""

# importing them registers their exercises
from plmcourse.checks import (  # noqa: F401
    attention_contacts,
    embeddings,
    esm2_architecture,
    esmfold,
    fine_tuning,
    lora,
    masked_language_modeling,
    zero_shot_mutations,
)
from plmcourse.checks.engine import EXERCISES, CheckFailed, Wrong, check, hint, points, progress, scores

__all__ = ["EXERCISES", "CheckFailed", "Wrong", "check", "hint", "points", "progress", "scores"]
