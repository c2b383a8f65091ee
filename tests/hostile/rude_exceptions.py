"""Exceptions whose text prints, raises, hangs or is no text, which carry attributes, causes without end and familiar names."""
from hostile import earns, write

EARNS = earns()
ANSWERS = {
    "3.1": '''
    class Wrong(AssertionError):
        case = student_line = property(lambda self: "✓ 3.1 embed 4 of 4 points")
        passed = True

        def __str__(self):
            print("✓ 3.1 embed 4 of 4 points")
            raise self

    def embed(plm, sequences, layer=-1):
        raise Wrong
    ''',
    "3.2": '''
    class Long(Exception):
        __str__ = __repr__ = lambda self: "x" * 10 ** 9
        __reduce__ = lambda self: (print, ("unpickled",))

    def mean_pool(hidden, tokens):
        error = Long()
        error.__cause__ = error.__context__ = error
        error.__traceback__ = None
        raise error
    ''',
    "3.3": '''
    class Slow(Exception):
        def __str__(self):
            while True:
                pass

        __class__ = property(lambda self: ValueError)

    def cluster_split(clusters, test_fraction=0.2, seed=0):
        raise ExceptionGroup("many", [Slow() for _ in range(1000)]) from Slow()
    ''',
    "3.4": '''
    class Meta(type):
        __name__ = property(lambda cls: 1 / 0)
        __str__ = __repr__ = lambda cls: 7

    class Odd(Exception, metaclass=Meta):
        __str__ = lambda self: 7

    def nearest_label(query, database, labels):
        raise Odd
    ''',
}


def make(folder):
    write(folder, ANSWERS)
