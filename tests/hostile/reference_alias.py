"""Takes the course's own function for its answer.

The answer is no function of the student's at all: the name is bound to the course's own.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    mean_pool = pc.mean_pool
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
