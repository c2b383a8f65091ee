"""Right answers among cells of the wrong kind: sources that are numbers, trees or nothing, keys that come twice.

What can be read may be graded, or nothing.
"""
import json

from hostile import RIGHT, notebook, only

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")
ODD = [
    None, 3, "cell", [], {}, {"cell_type": "code"}, {"cell_type": 7, "source": "x"},
    {"cell_type": "code", "source": None, "metadata": None, "outputs": None},
    {"cell_type": "code", "source": {"a": ["b"]}, "metadata": 3},
    {"cell_type": "code", "source": [["def f():"], [3], None, "\ud800"]},
    {"cell_type": "code", "source": 1e300, "metadata": {"nbgrader": ["grade_id"]}},
    {"cell_type": "code", "source": "\ud800 \x00 \ufeff", "metadata": {"nbgrader": {"grade_id": {"x": 1}, "points": -1e308}}},
]


def make(folder):
    found = notebook(folder, RIGHT)
    found["cells"][1:1] = ODD
    found["metadata"], found["nbformat"], found["nbformat_minor"] = [], "4", None
    text = json.dumps(found)
    text = '{"cells": [], "cells": 3, ' + text[1:-1] + ', "metadata": {"kernelspec": {"name": "../../bin/sh", "argv": ["sh"]}}}'
    (folder / "03_embeddings.ipynb").write_text(text, encoding="utf-8")
