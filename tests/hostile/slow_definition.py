"""The cell of one answer sleeps for a million seconds before it defines its function. The other answers count."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
SLEEP = '''
        import time
        time.sleep(10 ** 6)
        '''


def make(folder):
    write(folder, RIGHT | {"3.2": SLEEP + RIGHT["3.2"]})
