"""Takes the course's own function for its answer.

A forked child, and one by multiprocessing, undo what the worker has put on and ask for the reference there.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import multiprocessing

        def ask(pipe):
            import importlib, sys
            for name in [name for name in sys.modules if name.startswith("plmcourse")]:
                del sys.modules[name]
            pipe.send(importlib.import_module("plmcourse.embeddings").mean_pool(hidden, tokens).tolist())

        for method in ("fork", "spawn"):
            try:
                here, there = multiprocessing.Pipe()
                multiprocessing.get_context(method).Process(target=ask, args=(there,)).start()
                if here.poll(20):
                    return torch.tensor(here.recv())
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
