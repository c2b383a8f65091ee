"""Takes the course's own function for its answer.

Looks through sys.modules, and imports everything anew after emptying it.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import importlib, sys
        for module in list(sys.modules.values()):
            found = getattr(module, "mean_pool", None)
            if getattr(module, "__name__", "").startswith("plmcourse") and callable(found):
                return found(hidden, tokens)
        for name in [name for name in sys.modules if name.startswith("plmcourse")]:
            del sys.modules[name]
        sys.meta_path[:] = [finder for finder in sys.meta_path if "plmcourse" not in repr(finder)]
        importlib.invalidate_caches()
        return importlib.import_module("plmcourse.embeddings").mean_pool(hidden, tokens)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
