"""The cell of one answer sleeps for a million seconds before it defines its function. The other answers count.

The function itself is right: who runs nothing but the definition may give its points.
"""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.1", "3.3", "3.4")
EARNS_AT_MOST = only("3.2")
SLEEP = '''
        import time
        time.sleep(10 ** 6)
        '''


def make(folder):
    write(folder, RIGHT | {"3.2": SLEEP + RIGHT["3.2"]})
