"""isinstance, len, abs, sum, all, any, sorted, set and the exceptions themselves are replaced before the function is called."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.2")
PATCH = '''
    import builtins

    builtins.isinstance = builtins.issubclass = builtins.callable = builtins.hasattr = lambda *arguments: True
    builtins.all = builtins.any = lambda *arguments: True
    builtins.abs = builtins.sum = builtins.len = lambda *arguments: 0
    builtins.AssertionError = builtins.Exception = builtins.ValueError = type("Silent", (BaseException,), {})
    builtins.sorted = builtins.set = builtins.list = lambda *arguments, **options: []
    builtins.print = builtins.repr = lambda *arguments, **options: "right"
    '''
WRONG = {
    "3.3": PATCH + '''
    def cluster_split(clusters, test_fraction=0.2, seed=0):
        return [0], [0]
    ''',
    "3.4": PATCH + '''
    def nearest_label(query, database, labels):
        return [labels[0]]
    ''',
}


def make(folder):
    write(folder, RIGHT | WRONG, last=[PATCH])
