"""Defines its functions twice, first rightly, last wrongly: by decorators, del, globals() and a module __getattr__."""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.1")
EARNS_AT_MOST = only("3.2", "3.3", "3.4")
LAST = '''
    del nearest_label
    globals()["mean_pool"] = lambda hidden, tokens: hidden[:, 0]

    @lambda function: pc.cluster_split
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return [0], [0]

    def __getattr__(name):
        return getattr(pc, name)
    '''


def make(folder):
    write(folder, RIGHT, last=[LAST])
