"""Takes memory until something breaks (6 GB at most), then holds it.

Too much memory is an honest mistake, too: the other answers keep their points.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
BOMB = '''
    def mean_pool(hidden, tokens):
        taken = []
        while armed() and len(taken) < 96:
            taken.append(torch.ones(2 ** 24))  # 64 MiB, written to
        while armed():
            pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": BOMB})
