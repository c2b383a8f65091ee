"""Results, labels and exceptions that run commands when they are unpickled, copied, formatted or deleted."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3")
TRAP = '''
    import os

    class Trap:
        __reduce__ = __reduce_ex__ = lambda self, *version: (os.system, ("touch plmcourse-hostile-" + "canary",))
        __deepcopy__ = __copy__ = __format__ = lambda self, *arguments: os.system("touch plmcourse-hostile-" + "canary")
        __getstate__ = __setstate__ = lambda self, *state: {}

    class TrapTensor(torch.Tensor):
        __reduce_ex__ = Trap.__reduce_ex__

    '''
ANSWERS = {
    "3.2": TRAP + '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0].as_subclass(TrapTensor) if len(hidden) > 1 else Trap()
    ''',
    "3.4": TRAP + '''
    def nearest_label(query, database, labels):
        return [Trap() for _ in query]
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
