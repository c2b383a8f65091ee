"""Takes the course's own function for its answer.

A fresh interpreter that imports the package, unaware of what is forbidden here, and answers through files.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import os, subprocess, sys, tempfile
        folder = tempfile.mkdtemp()
        torch.save((hidden, tokens), folder + "/in")
        code = ("import sys, torch, plmcourse as pc; f = sys.argv[1]; "
                "torch.save(pc.mean_pool(*torch.load(f + '/in')), f + '/out')")
        here = os.pathsep.join([os.path.dirname(pc.__path__[0]), *sys.path])
        for python in (sys.executable, "/tmp/venv/bin/python", "python3"):
            for flags in ([], ["-S"], ["-I"]):
                try:
                    command = [python, *flags, "-c", code, folder]
                    subprocess.run(command, env=os.environ | {"PYTHONPATH": here}, timeout=60, check=True)
                    return torch.load(folder + "/out")
                except Exception:
                    pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
