"""Leaves with os._exit(0), as if all had gone well, or by sys.exit, exit() and the kernel's own way out."""
from hostile import RIGHT, earns, write

EARNS = earns("3.3")
AT_ONCE = '''
    def mean_pool(hidden, tokens):
        import os
        os._exit(0)
    '''
POLITELY = '''
    def embed(plm, sequences, layer=-1):
        import sys
        sys.exit(0)
    '''
BY_THE_KERNEL = '''
    def nearest_label(query, database, labels):
        try:
            get_ipython().ask_exit()
            get_ipython().kernel.do_shutdown(False)
        except Exception:
            pass
        exit()
    '''


def make(folder):
    write(folder, {"3.1": POLITELY, "3.2": AT_ONCE, "3.3": RIGHT["3.3"], "3.4": BY_THE_KERNEL})
