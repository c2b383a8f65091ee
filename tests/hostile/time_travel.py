"""Sets all clocks to the past so that no limit of time is ever reached, then loops; its file comes from the year 2242."""
import os

from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
TRAVEL = '''
    def mean_pool(hidden, tokens):
        import datetime, time
        now = time.time()
        for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns", "monotonic_ns", "perf_counter_ns"):
            setattr(time, name, lambda: 0)
        time.sleep = lambda seconds: None
        past = datetime.datetime(1970, 1, 1)
        datetime.datetime = type("datetime", (datetime.datetime,), {"now": classmethod(lambda *arguments: past)})
        try:
            time.clock_settime(time.CLOCK_REALTIME, now)  # to where it stands: the attempt counts
        except (OSError, AttributeError):
            pass
        while True:
            pass
    '''


def make(folder):
    path = write(folder, RIGHT | {"3.2": TRAVEL})
    os.utime(path, (2 ** 33, 2 ** 33))
