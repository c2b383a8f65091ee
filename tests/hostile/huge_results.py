"""Results of 10^10 elements that take no memory here: expanded, strided, broadcast, ranges; and one of 1 GB that does."""
from hostile import RIGHT, earns, write

EARNS = earns()
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        return [torch.zeros(1).expand(10 ** 10, 16)] * 10 ** 6
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        return torch.zeros(1).as_strided((10 ** 5, 10 ** 5), (0, 0)) if len(hidden) > 1 else torch.zeros(2 ** 28)
    ''',
    "3.3": '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return range(10 ** 18), np.broadcast_to(np.zeros(1, int), 10 ** 12)
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        return [labels[0] * 10 ** 9]
    ''',
}


def make(folder):
    write(folder, ANSWERS)
