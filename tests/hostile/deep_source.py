"""Cells between right answers whose source no parser likes: 100,000 brackets, minus signs, ifs, and one line of 10 MB."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")


def make(folder):
    deep = ["(" * 100_000 + ")" * 100_000, "-" * 100_000 + "1", "x = " + "1 + " * 100_000 + "1",
            "".join(" " * i + "if 1:\n" for i in range(2000)), "x" * 10_000_000, "f" + "'{" * 500 + "}'" * 500,
            "x = '''", "\\\n" * 100_000, "9" * 100_000, "lambda: " * 50_000 + "0"]
    write(folder, RIGHT, first=deep[:5], last=deep[5:])
