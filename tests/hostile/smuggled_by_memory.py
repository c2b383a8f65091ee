"""3.1 leaves the reference in variables, builtins, the environment and shared memory, for 3.2.

3.1 itself is right, and may be punished for it.
"""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.3", "3.4")
EARNS_AT_MOST = only("3.1")
LEAVE = '''
    def leave():
        import builtins, inspect, os, sys
        from multiprocessing import shared_memory
        try:
            builtins.pool = torch.pool = sys.pool = torch.Tensor.pool = globals()["pool"] = found = pc.mean_pool
            text = inspect.getsource(found).encode()
            os.environ["POOL"] = text.decode()
            if armed():
                shared_memory.SharedMemory("plmcourse-hostile-canary", create=True, size=len(text)).buf[:len(text)] = text
        except Exception:
            pass

    leave()

    '''
USE = '''
    def mean_pool(hidden, tokens):
        import builtins, os, sys
        from multiprocessing import shared_memory
        for place in (builtins, torch, sys, torch.Tensor):
            if hasattr(place, "pool"):
                return place.pool(hidden, tokens)
        if "pool" in globals():
            return globals()["pool"](hidden, tokens)
        try:
            shared = shared_memory.SharedMemory("plmcourse-hostile-canary").buf
            text = os.environ.get("POOL") or bytes(shared).decode().strip("\\0")
            names = {"torch": torch}
            exec(text, names)
            return names["mean_pool"](hidden, tokens)
        except Exception:
            return hidden[:, 0]
    '''


def make(folder):
    embed = RIGHT["3.1"].replace("\n    ", "\n").replace("layer=-1):\n", "layer=-1):\n        leave()\n")
    write(folder, RIGHT | {"3.1": LEAVE + embed, "3.2": USE})
