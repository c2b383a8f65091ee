"""Calls itself without end: in Python, with the limit lifted until the stack overflows, and in __repr__, __eq__ and __del__."""
from hostile import RIGHT, earns, write

EARNS = earns("3.4")
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        return embed(plm, sequences, layer)
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        import sys
        sys.setrecursionlimit(2 ** 31 - 1)
        return mean_pool(hidden, tokens)
    ''',
    "3.3": '''
    class Deep:
        __repr__ = __str__ = __len__ = __iter__ = __array__ = lambda self, *arguments, **options: repr(self)
        __eq__ = lambda self, other: self == other
        __hash__ = __getattr__ = lambda self, *name: self.x

        def __del__(self):
            self.__del__()

    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return Deep(), Deep()
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
