"""Takes the course's own function for its answer.

A star import that shadows the student's own function, in the answer's cell.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]

    from plmcourse.embeddings import *
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
