"""A student's name as long as file systems allow, and files of that kind beside the notebook. The answers count."""
from hostile import POINTS, RIGHT, write

EARNS = dict(POINTS)
STUDENT = "x" * 255


def make(folder):
    write(folder, RIGHT)
    (folder / ("y" * 248 + ".ipynb")).write_text("{}", encoding="utf-8")
    deep = folder
    for _ in range(10):
        deep /= "z" * 100
        deep.mkdir()
    (deep / "notes.txt").write_text("far down", encoding="utf-8")
