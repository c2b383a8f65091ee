"""Each call takes just under a second, and each answer is right: 15 minutes in all. Marks may be lost, not gained."""
from hostile import RIGHT, earns, only, write

EARNS = earns("3.2", "3.3", "3.4")
EARNS_AT_MOST = only("3.1")
SLOW = '''
        import time

        '''


def make(folder):
    embed = RIGHT["3.1"].replace("layer=-1):\n", "layer=-1):\n            time.sleep(0.9)\n")
    write(folder, RIGHT | {"3.1": SLOW + embed})
