"""Takes the course's own function for its answer.

The same from inside, and from the check of another exercise, whose function knows its module.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        for number, names in (("3.2", 1), ("3.1", 1), ("3.4", 1)):
            try:
                given = pc.check(number, lambda *arguments: None)
                found = given if number == "3.2" else given.__globals__["mean_pool"]
                return found(hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
