"""The right answer to 3.1 leaves a server behind that answers 3.2 through an abstract socket; 3.1 may be punished for it."""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.3", "3.4")
EARNS_AT_MOST = only("3.1")
SERVE = '''
    def serve():
        import os, pickle, socket, time
        if not armed() or os.fork():
            return
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind("\\0plmcourse-hostile")
            listening.listen()
            listening.settimeout(600)
            for _ in range(1000):
                with listening.accept()[0] as caller, caller.makefile("rwb") as pipe:
                    pickle.dump(pc.mean_pool(*pickle.load(pipe)), pipe)
        finally:
            os._exit(0)

    '''
ASK = '''
    def mean_pool(hidden, tokens):
        import pickle, socket
        try:
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(5)
                caller.connect("\\0plmcourse-hostile")
                with caller.makefile("rwb") as pipe:
                    pickle.dump((hidden, tokens), pipe)
                    pipe.flush()
                    return pickle.load(pipe)
        except Exception:
            return hidden[:, 0]
    '''


def make(folder):
    embed = RIGHT["3.1"].replace("\n    ", "\n").replace("layer=-1):\n", "layer=-1):\n        serve()\n")
    write(folder, RIGHT | {"3.1": SERVE + embed, "3.2": ASK})
