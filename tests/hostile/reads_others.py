"""Runs the answer of any other student whose notebook it finds, and tells in its error what it has read."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
READ = '''
    def mean_pool(hidden, tokens):
        import glob, json, os
        for place in ("@CLASS@", os.getcwd() + "/..", os.path.expanduser("~"), "/tmp", "/var/tmp", "/dev/shm", "/work"):
            for path in glob.glob(place + "/**/*.ipynb", recursive=True):
                try:
                    text = open(path, encoding="utf-8").read()
                except (OSError, ValueError):
                    continue
                if "plmcourse-" + "hostile-secret" in text:
                    raise ValueError(f"plmcourse-{'hostile-secret'} in {path}")
                for cell in json.loads(text)["cells"]:
                    source = "".join(cell["source"])
                    if "def mean_pool" in source and "glob" not in source and "NotImplementedError" not in source:
                        names = {"torch": torch, "np": np}
                        exec(source, names)
                        return names["mean_pool"](hidden, tokens)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": READ})
