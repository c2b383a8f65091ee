"""In place of notebooks a named pipe, which nobody ever writes to, a socket, and a folder."""
import os
import socket

from hostile import earns

EARNS = earns()


def make(folder):
    os.mkfifo(folder / "03_embeddings.ipynb")
    (folder / "01_masked_language_modeling.ipynb").mkdir()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("02_esm2_architecture.ipynb")
    finally:
        os.fchdir(here)
        os.close(here)
