"""Takes the course's own function for its answer.

Walks up the callers, and through tracebacks, for a reference or for the expected value itself.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import sys
        frame = sys._getframe(1)
        while frame is not None:
            for names in (frame.f_locals, frame.f_globals):
                for name in ("reference", "references", "expected", "exercise", "mean_pool", "functions"):
                    found = names.get(name)
                    found = getattr(found, "references", found)
                    found = found[0] if isinstance(found, (list, tuple)) and found else found
                    if isinstance(found, torch.Tensor):
                        return found
                    if callable(found) and getattr(found, "__module__", "").startswith("plmcourse.emb"):
                        return found(hidden, tokens)
            frame = frame.f_back
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
