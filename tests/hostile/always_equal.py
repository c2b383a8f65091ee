"""Results that equal everything: == is always true, != never, and every attribute and item is the object itself."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1")
EQUAL = '''
    class Yes:
        __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = __isinstance__ = lambda self, *other: True
        __ne__ = lambda self, other: False
        __hash__ = lambda self: 0
        __len__ = __index__ = __int__ = lambda self: 3
        __float__ = lambda self: 0.0
        __getattr__ = __getitem__ = __add__ = __sub__ = __mul__ = __radd__ = __rsub__ = __abs__ = lambda self, *other: self
        __call__ = lambda self, *arguments, **options: self
        __iter__ = lambda self: iter([self, self, self])
        __repr__ = __str__ = lambda self: "right"
        __instancecheck__ = __subclasscheck__ = lambda *arguments: True
        __class__ = property(lambda self: %s)

    '''
ANSWERS = {
    "3.2": EQUAL % "torch.Tensor" + '''
    def mean_pool(hidden, tokens):
        return Yes()
    ''',
    "3.3": EQUAL % "tuple" + '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return Yes(), Yes()
    ''',
    "3.4": EQUAL % "list" + '''
    def nearest_label(query, database, labels):
        return [Yes() for _ in query]
    ''',
}


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"]} | ANSWERS)
