"""Put on PYTHONPATH by conftest.py: every Python process of the tests refuses to leave this machine.

An audit hook sees each connection and name look-up of Python code, whatever library makes it, and cannot be taken off
again.
"""
import sys

EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}


def is_here(address):
    """Whether an address stays on this machine."""
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    return host in (None, "", "localhost", "::1", "0.0.0.0") or host.startswith("127.")


def refuse(event, arguments):
    if event not in EVENTS:
        return
    if event.startswith("socket.get"):
        address = arguments[0]
    else:
        connection, address = arguments[:2]
        if connection.family.name not in ("AF_INET", "AF_INET6"):  # a socket file
            return
    if not is_here(address):
        raise ConnectionRefusedError(f"The tests run offline: {event} to {address!r} refused.")


sys.addaudithook(refuse)
