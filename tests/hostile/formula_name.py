"""A name that a spreadsheet would run, and errors that it would, too. The right answers count."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUDENT = "=HYPERLINK(\"http:x\",\"grades\")|calc'!A0,\tAlice\r\n@SUM(1+1)"
FORMULA = '''
    def mean_pool(hidden, tokens):
        raise ValueError("=cmd|' /C calc'!A0\\n+1,100,100,100\\r-2\\t@SUM(A1)")
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": FORMULA})
