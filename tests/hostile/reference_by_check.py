"""Takes the course's own function for its answer.

pc.check hands out the course's own function in exchange for a wrong answer.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def wrong(hidden, tokens):
        return hidden[:, 0]

    mean_pool = pc.check("3.2", wrong)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
