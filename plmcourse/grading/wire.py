"""Messages between the process that grades and the one that runs a student's code: JSON, and raw bytes for arrays.

Nothing is pickled, so nothing that comes in can run. Whoever reads sets the limits: a size, and a moment at which to give up.
"""
import json
import select
import socket
import struct
import time

_HEAD = struct.Struct(">II")  # bytes of JSON, bytes of arrays
MOST_TEXT, MOST_BYTES = 2**24, 2**28


class Ended(BaseException):
    """The other process has gone, hangs, or talks nonsense. Not an Exception: no check may take it for a wrong answer."""


class TimedOut(Ended):
    """The other process did not answer in time."""


class Channel:
    """One end of a connection; ``deadline`` is the moment (time.monotonic) at which every wait ends with TimedOut."""

    def __init__(self, connection):
        self.socket, self.deadline = connection, None
        connection.setblocking(False)

    @classmethod
    def pair(cls):
        """A channel, and the socket for the other side."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    def close(self):
        self.socket.close()

    def send(self, message, blobs=()):
        """Send a message of plain JSON values, and bytes that it may refer to."""
        text = json.dumps(message).encode()
        size = sum(map(len, blobs))
        if len(text) > MOST_TEXT or size > MOST_BYTES:
            raise ValueError(f"a message of {len(text) + size:,} bytes is too large")
        for part in (_HEAD.pack(len(text), size), text, *blobs):
            view = memoryview(part).cast("B")
            while view:
                self._wait(for_writing=True)
                try:
                    view = view[self.socket.send(view[:2**20]):]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise Ended("the connection is gone") from error

    def receive(self):
        """The next message: (JSON values, bytes)."""
        text, size = _HEAD.unpack(self._read(_HEAD.size))
        if text > MOST_TEXT or size > MOST_BYTES:
            raise Ended(f"a message of {text + size:,} bytes is too large")
        try:
            message = json.loads(bytes(self._read(text)))
        except (ValueError, RecursionError) as error:
            raise Ended("a message that is no JSON") from error
        if not isinstance(message, dict):
            raise Ended("a message of an unknown kind")
        return message, memoryview(self._read(size))

    def _read(self, count):
        content = bytearray()
        while len(content) < count:
            self._wait(for_writing=False)
            try:
                part = self.socket.recv(min(count - len(content), 2**20))
            except BlockingIOError:
                continue
            except OSError as error:
                raise Ended("the connection is gone") from error
            if not part:
                raise Ended("the connection was closed")
            content += part
        return content

    def _wait(self, for_writing):
        left = None if self.deadline is None else self.deadline - time.monotonic()
        wanted = [self.socket]
        if left is not None and left <= 0 or not any(select.select([] if for_writing else wanted, wanted if for_writing else [], [], left)):
            raise TimedOut("no answer in time")
