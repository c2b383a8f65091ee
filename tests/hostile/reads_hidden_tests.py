"""Lets the checks' own source work out the expected value: their comparison is replaced by one that hands it over."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
READ = '''
    def mean_pool(hidden, tokens):
        import glob

        class Found(Exception):
            pass

        def give(result, expected, *arguments, **options):
            raise Found(expected)

        def from_module():
            import plmcourse.checks.embeddings as tests
            return vars(tests)

        def from_disk():
            path = glob.glob(pc.__path__[0] + "/checks/embeddings.py")[0]
            names = {"__name__": "stolen"}
            exec(open(path, encoding="utf-8").read(), names)
            return names

        for way in (from_module, from_disk):
            try:
                tests = dict(way())
                tests["expect_close"] = give
                code = tests["_expect_mean"].__code__
                type(give)(code, tests)(lambda *arguments: None, hidden, tokens)
            except Found as found:
                return found.args[0]
            except Exception:
                pass
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": READ})
