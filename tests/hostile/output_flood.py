"""Writes 1 GB to standard output and standard error, by print, by descriptors and from a child, and answers wrongly."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
FLOOD = '''
    def mean_pool(hidden, tokens):
        import os, subprocess, sys
        line = "all work and no play makes mean_pool a dull function " * 20_000  # about 1 MB
        for _ in range(250):
            print(line)
            print(line, file=sys.stderr)
            for descriptor in (1, 2):
                try:
                    os.write(descriptor, line.encode())
                except OSError:
                    pass
        subprocess.run(["head", "-c", "250000000", "/dev/zero"], check=False)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": FLOOD})
