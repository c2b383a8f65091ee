"""Crashes the interpreter: a null pointer, an abort, an illegal code object. The other answers count."""
from hostile import RIGHT, earns, write

EARNS = earns("3.3")
ANSWERS = {
    "3.1": '''
    def embed(plm, sequences, layer=-1):
        import os
        os.abort()
    ''',
    "3.2": '''
    def mean_pool(hidden, tokens):
        import ctypes
        ctypes.string_at(0)
    ''',
    "3.4": '''
    def nearest_label(query, database, labels):
        code = nearest_label.__code__
        eval(code.replace(co_code=b"\\x64\\xff" * 8, co_consts=(), co_stacksize=0))
    ''',
}


def make(folder):
    write(folder, RIGHT | ANSWERS)
