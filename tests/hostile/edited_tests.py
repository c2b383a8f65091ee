"""The check cells print full marks, their nbgrader metadata promise 100 points each, and the saved outputs show them."""
import json

from hostile import RIGHT, earns, notebook

EARNS = earns("3.1")
WRONG = '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]
    '''


def make(folder):
    found = notebook(folder, {"3.1": RIGHT["3.1"], "3.2": WRONG})
    for cell in found["cells"]:
        tags = cell["metadata"].get("nbgrader", {})
        if tags.get("grade"):
            tags |= {"points": 100, "locked": False, "grade": True, "solution": True}
            line = f"✓ {tags['grade_id'].removeprefix('check-').replace('-', '.')}    100 of 100 points"
            cell["source"] = f"print({line!r})\n"
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": line + "\n"}]
            cell["execution_count"] = 1
    found["metadata"]["plmcourse"] = {"points": {"3.2": 100, "3.3": 100, "3.4": 100}, "status": "right", "seed": 0}
    (folder / "03_embeddings.ipynb").write_text(json.dumps(found), encoding="utf-8")
