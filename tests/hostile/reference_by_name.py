"""Takes the course's own function for its answer.

pc.mean_pool, as the notebook offers it.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        return pc.mean_pool(hidden, tokens)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
