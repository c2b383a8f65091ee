"""Looks for the course's seed in the environment, in plmcourse.json and in the checks, and tells what it has found."""
from hostile import RIGHT, earns, write

EARNS = earns("3.1", "3.3", "3.4")
LOOK = '''
    def mean_pool(hidden, tokens):
        import glob, json, os
        found = [os.environ.get("PLMCOURSE_SEED", "0")]
        try:
            found.append(str(__import__("plmcourse.checks.inputs", fromlist=["x"]).SEED))
        except (ImportError, AttributeError):
            pass
        for place in ("@CLASS@/..", "."):
            for path in glob.glob(place + "/**/plmcourse.json", recursive=True):
                found.append(str(json.load(open(path))["seed"]))
        for seed in set(found) - {"0"}:
            raise ValueError(f"plmcourse-{'hostile-secret'}: the seed is {seed}")
        return hidden[:, 0]
    '''


def make(folder):
    write(folder, RIGHT | {"3.2": LOOK})
