"""Takes the course's own function for its answer.

importlib, __import__, eval and getattr, with names in pieces that no search for words finds.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import base64, importlib
        name = base64.b64decode("bWVhbl9wb29s").decode()
        home = "plm" + "course." + "emb" + "eddings"
        ways = [lambda: getattr(importlib.import_module(home), name),
                lambda: getattr(__import__(home, fromlist=[name]), name),
                lambda: eval("p" + "c." + name),
                lambda: getattr(importlib.reload(importlib.import_module(home)), name),
                lambda: getattr(pc, name)]
        for way in ways:
            try:
                return way()(hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
