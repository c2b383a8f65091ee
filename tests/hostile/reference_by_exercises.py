"""Takes the course's own function for its answer.

The exercise itself holds its references: pc.checks.EXERCISES.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        from plmcourse.checks.engine import EXERCISES, find
        return (EXERCISES.get("3.2") or find("3.2")).references[0](hidden, tokens)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
