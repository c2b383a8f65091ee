"""Takes the course's own function for its answer.

Searches all objects of the process for a function of that name, or for code to make one of.
"""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
STUB = '''
    def mean_pool(hidden, tokens):
        import gc, sys, types
        own = sys._getframe().f_code
        names = {"__builtins__": __builtins__, "torch": torch, "TOKEN_ID": pc.sequences.TOKEN_ID}
        for thing in gc.get_objects():
            code = thing.__code__ if type(thing) is types.FunctionType else thing
            inner = code.co_consts if type(code) is types.CodeType else ()
            for found in (code, *inner):
                if type(found) is types.CodeType and found is not own and found.co_name == "mean_pool":
                    return types.FunctionType(found, names)(hidden, tokens)
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": STUB})
