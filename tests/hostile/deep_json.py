"""JSON that is 100,000 levels deep: as a whole notebook (1), and in the metadata of one with right answers (3)."""
import json

from hostile import RIGHT, notebook, only

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")


def make(folder):
    deep = "[" * 100_000 + "]" * 100_000
    (folder / "01_masked_language_modeling.ipynb").write_text(f'{{"cells": {deep}}}', encoding="utf-8")
    text = json.dumps(notebook(folder, RIGHT))
    objects = '{"a": ' * 100_000 + "0" + "}" * 100_000
    (folder / "03_embeddings.ipynb").write_text(f'{text[:-1]}, "extra": {objects}}}', encoding="utf-8")
