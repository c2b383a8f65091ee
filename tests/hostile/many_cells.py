"""Half a million cells, and a cell of 30 MB that takes long to parse. Marks may be lost, not gained."""
import json

from hostile import RIGHT, code_cell, notebook, only

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")


def make(folder):
    found = notebook(folder, RIGHT)
    found["cells"].append(code_cell("x = [" + "(1, 2), " * 3_500_000 + "]"))
    text = json.dumps(found)
    place = text.index('"cells": [') + len('"cells": [')
    cell = json.dumps(code_cell("def mean_pool(hidden, tokens): return 0")) + ", "
    (folder / "03_embeddings.ipynb").write_text(text[:place] + cell * 500_000 + text[place:], encoding="utf-8")
