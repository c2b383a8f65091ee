"""Results without end: a list within itself, nested lists, a dict of depth 10^7, an integer of 10^8 digits, generators."""
from hostile import RIGHT, earns, write

EARNS = earns()
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        result = []
        result += [result, result]
        return result
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        result = {}
        for _ in range(10 ** 7):
            result = {0: result}
        return result
    ''',
    "3.3": '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        import itertools
        return itertools.count(), [1 << 330_000_000]
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        result = "x"
        for _ in range(60):
            result = [result, result]  # 60 lists, 2 ** 60 ends
        return result
    ''',
}


def make(folder):
    write(folder, ANSWERS)
