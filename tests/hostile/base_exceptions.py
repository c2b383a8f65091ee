"""Raises what no 'except Exception' catches: SystemExit(0), KeyboardInterrupt, GeneratorExit, a class of its own."""
from hostile import earns, write

EARNS = earns()
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        raise SystemExit(0)
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        raise KeyboardInterrupt
    ''',
    "3.3": '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        raise type("passed", (BaseException,), {})("3 of 3 points")
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        raise GeneratorExit
    ''',
}


def make(folder):
    write(folder, ANSWERS)
