"""A subclass of torch.Tensor that answers all questions of torch's functions as one likes it: shape, allclose, detach."""
from hostile import RIGHT, earns, write

EARNS = earns("3.3", "3.4")
LIAR = '''
    class Liar(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, arguments=(), options=None):
            name = getattr(function, "__name__", "")
            if name in ("allclose", "equal", "is_same_size"):
                return True
            if name in ("isclose", "eq", "le", "__eq__", "__le__"):
                return torch.ones(1, dtype=torch.bool)
            if name in ("detach", "double", "float", "clone", "cpu", "to", "contiguous", "numpy", "sub", "__sub__"):
                return arguments[0]
            return super().__torch_function__(function, types, arguments, options or {})

        __eq__ = allclose = equal = lambda self, other: True
        __ne__ = lambda self, other: False
        __hash__ = lambda self: 0
        requires_grad = False

        def __array__(self, dtype=None, copy=None):
            return np.zeros((2, 3))

        def tolist(self):
            return [[0.0] * 3] * 2

    '''
ANSWERS = {
    "3.1": LIAR + '''
    def embed(plm, sequences, layer=-1):
        return [torch.zeros(len(sequence), plm.config.hidden_size).as_subclass(Liar) for sequence in sequences]
    ''',
    "3.2": LIAR + '''
    def mean_pool(hidden, tokens):
        return torch.zeros(len(hidden), hidden.shape[-1]).as_subclass(Liar)
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
