"""A loop without end in one function. The other answers are right, and an honest mistake of this kind must not cost them."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
LOOP = '''
    def mean_pool(hidden, tokens):
        while True:
            pass
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LOOP})
