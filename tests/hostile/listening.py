"""Listens on ports and on an abstract socket, for somebody to connect who shares the network, and waits for a minute."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
LISTEN = '''
    def mean_pool(hidden, tokens):
        import select, socket
        waiting = []
        places = (socket.AF_INET, ("0.0.0.0", 8765)), (socket.AF_INET6, ("::", 8766)), (socket.AF_UNIX, "\\0canary")
        for family, address in places:
            try:
                waiting.append(socket.socket(family))
                waiting[-1].bind(address)
                waiting[-1].listen()
            except OSError:
                waiting.pop()
        if armed() and waiting:
            ready, _, _ = select.select(waiting, [], [], 60)
            for one in ready:
                raise ValueError("plmcourse-" + "hostile-secret: " + repr(one.accept()))
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LISTEN})
