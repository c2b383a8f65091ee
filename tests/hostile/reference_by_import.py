"""Takes the course's own function for its answer.

Imports the module inside the function, in the plainest way.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        from plmcourse.embeddings import mean_pool as pool
        return pool(hidden, tokens)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
