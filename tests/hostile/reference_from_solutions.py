"""Takes the course's own function for its answer.

Searches the disk for the solutions and for the tests' own right answers.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import glob, json, os
        for place in (pc.__path__[0] + "/..", "/work/*", "@CLASS@/..", "@CLASS@/../..", ".", os.path.expanduser("~")):
            names = "e3_2.py", "03_embeddings.*"
            for path in [path for name in names for path in glob.glob(f"{place}/**/{name}", recursive=True)]:
                text = open(path, encoding="utf-8").read()
                cells = ["".join(c["source"]) for c in json.loads(text)["cells"]] if path.endswith("ipynb") else [text]
                for cell in cells:
                    try:
                        names = {"torch": torch, "np": np, "pc": pc}
                        exec("import numpy as np\\n" + cell, names)
                        found = names.get("mean_pool") or names["right_mean_pool__vectorised"]
                        return found(hidden, tokens)
                    except Exception:
                        pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
