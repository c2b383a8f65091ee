"""Subclasses of str, int, float, list and tuple that equal everything, hash like anything and count as they please."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.2")
LIARS = '''
    def liar(kind):
        return type(kind.__name__, (kind,), {
            "__eq__": lambda self, other: True, "__ne__": lambda self, other: False, "__hash__": lambda self: 0,
            "__contains__": lambda self, other: True, "__lt__": lambda self, other: True, "__gt__": lambda self, other: False})

    Text, Whole, Real, Many = map(liar, (str, int, float, list))
    Many.__len__ = lambda self: 3

    '''
ANSWERS = {
    "3.3": LIARS + '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return Many(map(Whole, range(len(clusters)))), Many([Whole(0)])
    ''',
    "3.4": LIARS + '''
    def nearest_label(query, database, labels):
        return Many(Text("right") if isinstance(labels[0], str) else Real(0) for _ in query)
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
