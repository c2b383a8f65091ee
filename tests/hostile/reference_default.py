"""Takes the course's own function for its answer.

Gets hold of the reference when the function is defined, not when it is called.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    from functools import partial

    kept = [pc.mean_pool]

    def mean_pool(hidden, tokens, pool=pc.mean_pool, again=partial(pc.embeddings.mean_pool)):
        return kept.pop()(hidden, tokens) if kept else pool(hidden, tokens)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
