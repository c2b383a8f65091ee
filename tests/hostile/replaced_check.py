"""Replaces pc.check and everything below it, empties the exercises' steps, and writes points into the ledger."""
from hostile import RIGHT, earns, only, write

EARNS = earns()
EARNS_AT_MOST = only("3.1")
PATCH = '''
    try:
        from plmcourse import checks
        from plmcourse.checks import engine

        for exercise in engine.EXERCISES.values():
            exercise.steps[:] = [("all", 100, lambda *functions: None)]
            engine._earned[exercise.number] = 100
        engine.expect = engine.expect_close = engine.expect_value_error = lambda *arguments, **options: None
        engine._attempt = lambda *arguments: None
        engine.Wrong.__init__ = lambda self, *arguments: None
        engine.run = lambda exercise, functions: [engine.Property("all", 100, True)]
        engine.check = checks.check = pc.check = lambda number, *functions: functions[0]
        for module in vars(checks).values():
            if hasattr(module, "expect_close"):
                module.expect = module.expect_close = lambda *arguments, **options: None
    except Exception:
        pass
    '''
WRONG = '''
    def mean_pool(hidden, tokens):
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"], "3.2": PATCH + WRONG}, first=[PATCH])
