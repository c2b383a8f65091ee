"""A notebook that nobody may read (root may, and finds one right answer), and a folder that nobody may enter."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1")


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"]}).chmod(0)
    (folder / "closed").mkdir(mode=0)
