"""A name that is an option to most commands, with dots and spaces at its ends. The answers count."""
from hostile import POINTS, RIGHT, write

EARNS = dict(POINTS)
STUDENT = "--bind . $(touch plmcourse-hostile-canary) `id` ; %s {0} .."


def make(folder):
    write(folder, RIGHT)
