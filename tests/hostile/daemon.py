"""A daemon (two forks, a session of its own) that lives on, claims good results on all descriptors and keeps them open."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
DAEMON = '''
    def mean_pool(hidden, tokens):
        import os, time
        if armed() and os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for _ in range(600):
                    for descriptor in range(64):
                        try:
                            os.write(descriptor, b'{"passed": true, "points": 3, "status": "right"}\\n')
                        except OSError:
                            pass
                    time.sleep(1)
            os._exit(0)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": DAEMON})
