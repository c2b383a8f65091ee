"""Takes the course's own function for its answer.

pkgutil, runpy and a spec made by hand: imports that go past a patched import statement.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import importlib.machinery, importlib.util, pkgutil, runpy

        def by_hand():
            spec = importlib.machinery.PathFinder.find_spec("plmcourse.embeddings", pc.__path__)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.mean_pool

        for way in (lambda: pkgutil.resolve_name("plmcourse.embeddings:mean_pool"), by_hand,
                    lambda: runpy.run_module("plmcourse.embeddings")["mean_pool"],
                    lambda: runpy.run_path(pc.__path__[0] + "/embeddings.py")["mean_pool"]):
            try:
                return way()(hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
