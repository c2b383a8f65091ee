"""The check cells are gone; two answers are right, one is wrong, one is a stub."""
import json

from hostile import RIGHT, earns, notebook

EARNS = earns("3.1", "3.4")
WRONG = '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]
    '''


def make(folder):
    found = notebook(folder, {"3.1": RIGHT["3.1"], "3.2": WRONG, "3.4": RIGHT["3.4"]})
    found["cells"] = [cell for cell in found["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")]
    (folder / "03_embeddings.ipynb").write_text(json.dumps(found), encoding="utf-8")
