"""A student and further files with names in many scripts, turned round, invisible and half composed. The answers count."""
from hostile import POINTS, RIGHT, write

EARNS = dict(POINTS)
STUDENT = "Zoe\u0308 李小龍 \u202egnp.ipynb\u202c \u200b\u2066💥'\"; DROP TABLE student; --"


def make(folder):
    write(folder, RIGHT)
    for name in ("Пример\u202e", "é", "e\u0301", "\u200b", "☃💥", "a\nb\tc"):
        (folder / f"{name}.txt").write_text("no notebook", encoding="utf-8")
    (folder / b"bytes-\xff\xfe.txt".decode("utf-8", "surrogateescape")).write_text("no name either", encoding="utf-8")
