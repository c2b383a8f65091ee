"""A subclass of numpy.ndarray, and an object with __array__, that give other numbers each time and win every comparison."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.4")
LIAR = '''
    class Liar(np.ndarray):
        def __array_ufunc__(self, function, method, *inputs, **options):
            if function in (np.equal, np.less, np.less_equal, np.isfinite):
                return np.True_
            return getattr(function, method)(*[np.asarray(i).view(np.ndarray) for i in inputs], **options)

        def __array_function__(self, function, types, arguments, options):
            return True

        def __iter__(self):
            return iter(range(5))

        __eq__ = __contains__ = lambda self, other: True
        __hash__ = lambda self: 0
        __len__ = lambda self: 12

    class Late:
        shape, dtype, ndim = (2, 3), np.dtype(float), 2

        def __array__(self, dtype=None, copy=None):
            import sys
            caller = sys._getframe(1).f_locals
            return np.asarray(caller.get("b", caller.get("expected", np.zeros((2, 3)))))

        __array_interface__ = property(lambda self: {"shape": (2, 3), "typestr": "<f8", "data": (0, False), "version": 3})

    '''
ANSWERS = {
    "3.2": LIAR + '''
    def mean_pool(hidden, tokens):
        return Late()
    ''',
    "3.3": LIAR + '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return np.arange(3).view(Liar), np.arange(3).view(Liar)
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
