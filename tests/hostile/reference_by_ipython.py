"""Takes the course's own function for its answer.

IPython's magics and shell lines fetch it: %run, %load, get_ipython().getoutput, %autoreload.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        shell = get_ipython()
        for way in (lambda: shell.run_line_magic("run", pc.__path__[0] + "/embeddings.py"),
                    lambda: shell.run_cell("from plmcourse.embeddings import mean_pool as found"),
                    lambda: shell.ex("from plmcourse.embeddings import mean_pool as found")):
            try:
                way()
                return (shell.user_ns.get("found") or shell.user_ns["mean_pool"])(hidden, tokens)
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
