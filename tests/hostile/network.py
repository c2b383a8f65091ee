"""Fetches the course's source from its public repository, asks name servers, and tries every port of this machine."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
FETCH = '''
    def mean_pool(hidden, tokens):
        import socket, urllib.request
        socket.setdefaulttimeout(2)
        home = "https://raw.githubusercontent.com/plmcourse/plmcourse/v0.1.0/plmcourse/embeddings.py"
        try:
            names = {}
            exec(urllib.request.urlopen(home, timeout=5).read(), names)
            return names["mean_pool"](hidden, tokens)
        except Exception:
            pass
        for way in (lambda: socket.getaddrinfo("example.org", 443), lambda: socket.create_connection(("192.0.2.1", 53), 1),
                    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("192.0.2.1", 53)),
                    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b"hello", ("127.0.0.1", 0))):
            try:
                way()
            except OSError:
                pass
        for port in (22, 53, 80, 443, 5432, 8000, 8080, 8888):
            try:
                with socket.create_connection(("127.0.0.1", port), 0.2) as other:
                    other.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
                    if b"plmcourse-" + b"hostile-secret" in other.recv(2 ** 16):
                        raise ValueError(f"plmcourse-{'hostile-secret'} on port {port}")
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": FETCH})
