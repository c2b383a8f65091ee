"""Right answers, but cells among them print 1 GB and show a million results. Marks may be lost, not gained."""
from hostile import RIGHT, only, write

EARNS_AT_MOST = only("3.1", "3.2", "3.3", "3.4")
FLOOD = '''
    for _ in range(1000):
        print("x" * 2 ** 20)
    for number in range(10 ** 6):
        display(number)
    '''


def make(folder):
    write(folder, RIGHT, first=[FLOOD], last=[FLOOD])
