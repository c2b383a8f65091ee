"""Raises ValueError or NotImplementedError, whatever the input: an exercise that asks for refusals must not pay for it."""
from hostile import earns, write

EARNS = earns()
ANSWERS = {
    "3.1": "def embed(*arguments, **options):\n    raise ValueError('bad input')",
    "3.2": "def mean_pool(*arguments, **options):\n    raise NotImplementedError",
    "3.3": "def cluster_split(*arguments, **options):\n    return ValueError('bad input')",
    "3.4": "def nearest_label(*arguments, **options):\n    raise ValueError('bad input')",
}


def make(folder):
    write(folder, ANSWERS)
