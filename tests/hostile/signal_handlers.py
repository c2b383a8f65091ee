"""Handlers for all signals, alarms every millisecond that raise in whatever runs, a trace function that sets results."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
SIGNALS = '''
    def mean_pool(hidden, tokens):
        import signal, sys, threading

        def raise_it(*arguments):
            raise KeyboardInterrupt("late")

        def trace(frame, event, argument):
            for name in ("passed", "ok"):
                if name in frame.f_locals:
                    frame.f_locals[name] = True
            return trace

        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, raise_it)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.001)
        sys.settrace(trace)
        sys.setprofile(trace)
        threading.settrace(trace)
        sys.excepthook = sys.unraisablehook = lambda *arguments: None
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": SIGNALS})
