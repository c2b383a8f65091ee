"""A notebook of 200 MB, one output being nearly all of it. Marks may be lost, not gained."""
import json

from hostile import RIGHT, notebook, only

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")


def make(folder):
    found = notebook(folder, RIGHT)
    output = {"output_type": "stream", "name": "stdout", "text": "@"}
    next(cell for cell in found["cells"] if cell["cell_type"] == "code")["outputs"] = [output]
    before, after = json.dumps(found).split('"@"')
    with (folder / "03_embeddings.ipynb").open("w", encoding="utf-8") as file:
        file.write(before + '"')
        for _ in range(200):
            file.write("all work and no play" * 50_000)
        file.write('"' + after)
