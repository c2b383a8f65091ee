"""Takes the course's own function for its answer.

Runs the package's source, which inspect, linecache and the loader give away.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import inspect, linecache
        module = __import__("plmcourse.embeddings", fromlist=["x"])
        for way in (lambda: inspect.getsource(module), lambda: "".join(linecache.getlines(module.__file__)),
                    lambda: module.__loader__.get_source(module.__name__),
                    lambda: module.__spec__.loader.get_data(module.__file__),
                    lambda: open(module.__file__).read()):
            try:
                names = {}
                exec(way(), names)
                return names["mean_pool"](hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
