"""A function that answers its first call rightly and hangs from the second on: every property asks more than once."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
LATER = '''
    calls = []

    def mean_pool(hidden, tokens):
        calls.append(1)
        while len(calls) > 1:
            pass
        mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
        return (hidden.float() * mask).sum(1) / mask.sum(1)
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LATER})
