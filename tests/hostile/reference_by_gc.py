"""Takes the course's own function for its answer.

Searches all objects of the process for a function of that name, or for code to make one of.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import gc, sys, types
        own = sys._getframe().f_code
        for thing in gc.get_objects():
            code = getattr(thing, "__code__", None) if isinstance(thing, types.FunctionType) else thing
            if isinstance(code, types.CodeType) and code is not own and code.co_name == "mean_pool":
                return types.FunctionType(code, {"torch": torch, "TOKEN_ID": pc.sequences.TOKEN_ID})(hidden, tokens)
            constants = getattr(code, "co_consts", ())
            for inner in constants if isinstance(constants, tuple) else ():
                if isinstance(inner, types.CodeType) and inner.co_name == "mean_pool" and inner is not own:
                    return types.FunctionType(inner, {"torch": torch, "TOKEN_ID": pc.sequences.TOKEN_ID})(hidden, tokens)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
