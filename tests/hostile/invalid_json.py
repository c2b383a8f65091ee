"""Notebooks that break off, are empty, are no text, are JSON but no notebook, or have values of the wrong kind everywhere.

The one that breaks off does so in the middle: what stands before is the student's own, and may be graded.
"""
import json

from hostile import RIGHT, earns, notebook, only

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.2")


def make(folder):
    text = json.dumps(notebook(folder, RIGHT))
    files = {
        "01_masked_language_modeling": b"",
        "02_esm2_architecture": bytes(range(256)) * 40,
        "03_embeddings": text[:len(text) // 2].encode(),
        "04_zero_shot_mutations": b"null",
        "05_fine_tuning": b"[[[",
        "06_lora": b'{"cells": {"3.1": 4}, "nbformat": "four"}',
        "07_esmfold": b'{"cells": [1, null, "x", [], {"cell_type": "code"}, {"cell_type": [], "source": 7}], "metadata": []}',
        "08_attention_contacts": b'{"cells": NaN, "nbformat": 1e999, "nbformat_minor": -Infinity}',
    }
    for name, data in files.items():
        (folder / f"{name}.ipynb").write_bytes(data)
