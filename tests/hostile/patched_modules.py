"""json, pickle, os, struct, socket, sys.stdout and the importer itself are replaced, in the hope that the worker needs them."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
PATCH = '''
    import builtins, io, json, os, pickle, socket, struct, sys

    def right(*arguments, **options):
        return '{"passed": true, "points": 3, "of": 3, "status": "right", "value": true}'

    for module, names in ((json, "dumps dump loads load JSONEncoder JSONDecoder"), (struct, "pack unpack Struct"),
                          (pickle, "dumps dump loads load"), (os, "write read fork _exit kill dup2"), (socket, "socket"),
                          (io, "open BytesIO StringIO"), (builtins, "open __import__ exec")):
        for name in names.split():
            setattr(module, name, right)
    sys.stdout = sys.stderr = sys.__stdout__ = io.TextIOBase()
    sys.modules["torch"] = sys.modules["numpy"] = sys.modules["plmcourse"] = sys
    '''
WRONG = '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": PATCH + WRONG}, last=[PATCH])
