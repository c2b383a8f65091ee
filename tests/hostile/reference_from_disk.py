"""Takes the course's own function for its answer.

Searches the disk for the package's files, source or compiled, and runs them.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import glob, marshal, sys, zipfile
        places = [*pc.__path__, pc.__path__[0] + "/..", *sys.path, sys.prefix, "/work", "/home", "/opt", "."]
        for place in places:
            for path in glob.glob(place + "/**/embeddings*.py*", recursive=True):
                try:
                    code = open(path, "rb").read()
                    names = {"__name__": "plmcourse.embeddings"}
                    exec(marshal.loads(code[16:]) if path.endswith("c") else code, names)
                    return names["mean_pool"](hidden, tokens)
                except Exception:
                    pass
            for path in glob.glob(place + "/**/plmcourse*.whl", recursive=True):
                names = {}
                exec(zipfile.ZipFile(path).read("plmcourse/embeddings.py"), names)
                return names["mean_pool"](hidden, tokens)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
