"""Answers on all descriptors in the name of the grader, in many formats, and then reads what was meant for the worker."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
FORGE = '''
    def mean_pool(hidden, tokens):
        import json, os, pickle, struct
        claims = [{"passed": True, "points": 3, "of": 3, "status": "right"}, {"result": True},
                  {"exercises": {"3.2": {"points": 3, "status": "right"}}}, {"ok": True, "value": None}, ["result", True],
                  ["done", 3], True, None, "right", 10 ** 6]
        messages = []
        for claim in claims:
            text, binary = json.dumps(claim).encode(), pickle.dumps(claim)
            messages += [text + b"\\n", binary, b"Content-Length: %d\\r\\n\\r\\n" % len(text) + text]
            messages += [struct.pack(size, len(body)) + body for size in ("<I", ">I", "<Q", ">Q") for body in (text, binary)]
        messages += [struct.pack(size, 2 ** 31 - 1) for size in ("<I", ">I", "<Q", ">Q")]  # the promise of a long message
        for descriptor in range(64):
            for message in messages:
                try:
                    os.set_blocking(descriptor, False)
                    os.write(descriptor, message)
                except OSError:
                    break
        for descriptor in range(64):
            try:
                os.read(descriptor, 2 ** 20)
            except OSError:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": FORGE})
