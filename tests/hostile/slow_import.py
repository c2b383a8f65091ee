"""A cell among right answers sleeps for a million seconds when it is run. Marks may be lost, not gained."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")
SLEEP = '''
    import time
    time.sleep(10 ** 6)
    '''


def make(folder):
    write(folder, RIGHT, first=[SLEEP], last=[SLEEP])
