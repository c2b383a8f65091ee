"""os._exit in a cell between right answers, whether the module is run or imported. Marks may be lost, not gained."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")
EXIT = '''
    import os
    os._exit(0)
    '''


def make(folder):
    write(folder, RIGHT, first=[EXIT], last=[EXIT])
