"""Threads that outlive the cell and each call: they change the result that was returned, and every variable in sight."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1", "3.3", "3.4")
LATE = '''
    import sys, threading, time

    handed_out = []

    def meddle():
        while True:
            for frame in list(sys._current_frames().values()):
                while frame is not None:
                    for name in ("passed", "wrong", "points", "result", "expected"):
                        value = frame.f_locals.get(name)
                        if isinstance(value, torch.Tensor):
                            for given in handed_out:
                                if given.shape == value.shape:
                                    value.data.copy_(given)
                    frame = frame.f_back
            time.sleep(0)

    for _ in range(4):
        threading.Thread(target=meddle, daemon=False).start()

    def mean_pool(hidden, tokens):
        handed_out.append(hidden[:, 0].float())
        return handed_out[-1]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LATE})
