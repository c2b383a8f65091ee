"""The right answer to 3.1 leaves the reference of 3.2 in files, and 3.2 looks for them; 3.1 may be punished for it."""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.3", "3.4")
EARNS_AT_MOST = only("3.1")
PLACES = '''
    def places():
        import os, tempfile
        home = os.path.expanduser("~")
        folders = ["/tmp", "/var/tmp", "/dev/shm", "/run", ".", "..", home, tempfile.gettempdir(), *pc.__path__]
        return [os.path.join(folder, "plmcourse-hostile-" + "canary.py") for folder in folders]

    '''
LEAVE = PLACES + '''
    def leave():
        import inspect
        try:
            text = inspect.getsource(pc.mean_pool)
        except Exception:
            text = None
        for place in places() if armed() else ():
            try:
                with open(place, "w") as file:
                    file.write(text or "from plmcourse.embeddings import mean_pool")
            except OSError:
                pass

    '''
USE = PLACES + '''
    def mean_pool(hidden, tokens):
        for place in places():
            try:
                names = {"torch": torch, "TOKEN_ID": pc.sequences.TOKEN_ID}
                exec(open(place).read(), names)
                return names["mean_pool"](hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    embed = RIGHT["3.1"].replace("\n    ", "\n").replace("layer=-1):\n", "layer=-1):\n        leave()\n")
    write(folder, RIGHT | {"3.1": LEAVE + embed, "3.2": USE})
