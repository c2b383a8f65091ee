"""Writes garbage to all inherited descriptors, closes them, and puts others in their place."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
CLOSE = '''
    def mean_pool(hidden, tokens):
        import os
        for descriptor in range(256):
            try:
                os.set_blocking(descriptor, False)
                os.write(descriptor, os.urandom(10_000))
            except OSError:
                pass
        os.closerange(0, 256)
        for _ in range(8):
            os.open("/dev/null", os.O_RDWR)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": CLOSE})
