"""A loop without end that ignores all signals that can be ignored and swallows every exception thrown into it."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
LOOP = '''
    def mean_pool(hidden, tokens):
        import signal
        for number in signal.valid_signals():
            try:
                signal.signal(number, lambda *arguments: None)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LOOP})
