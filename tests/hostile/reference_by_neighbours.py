"""Takes the course's own function for its answer.

Other parts of the package import the reference and keep it among their globals.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        for name in sorted(pc.__all__):
            try:
                thing = getattr(pc, name)
            except Exception:
                continue
            for place in (thing, getattr(thing, "forward", None), getattr(thing, "__init__", None)):
                names = getattr(place, "__globals__", {}) | (vars(place) if hasattr(place, "__dict__") else {})
                for found in [names.get("mean_pool"), *[getattr(other, "mean_pool", None) for other in list(names.values())]]:
                    if callable(found) and found is not mean_pool:
                        return found(hidden, tokens)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
