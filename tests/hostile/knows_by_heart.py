"""Knows by heart all cases that students see (PLMCOURSE_SEED=0) and nothing else.

Worth nothing when a course has a seed of its own; graded with seed 0, it would earn the points of 3.2 and 3.4.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

from hostile import ROOT, RIGHT, earns, write

EARNS = earns("3.1", "3.3")
KEY = '''
def key(*inputs):
    import hashlib
    return hashlib.sha256(repr([i.tolist() if isinstance(i, torch.Tensor) else i for i in inputs]).encode()).hexdigest()[:16]
'''
RECORD = KEY + '''
import json
import torch
from plmcourse.checks import EXERCISES, engine

cases = {}
for number in ("3.2", "3.4"):
    reference, known = EXERCISES[number].references[0], {}

    def answer(*inputs):
        result = reference(*inputs)
        known[key(*inputs)] = result.tolist() if isinstance(result, torch.Tensor) else result
        return result

    engine.run(EXERCISES[number], lambda: [answer])
    cases[number] = known
print(json.dumps(cases))
'''
ANSWERS = {
    "3.2": '''
def mean_pool(hidden, tokens):
    return torch.tensor(KNOWN.get(key(hidden, tokens), hidden[:, 0].tolist()))
''',
    "3.4": '''
def nearest_label(query, database, labels):
    return KNOWN.get(key(query, database, labels), [labels[-1]] * len(query))
''',
}


def make(folder):
    environment = os.environ | {"PLMCOURSE_SEED": "0", "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-c", RECORD]
    done = subprocess.run(command, env=environment, cwd=Path(folder), stdout=subprocess.PIPE, text=True, check=True)
    known = json.loads(done.stdout)
    write(folder, RIGHT | {number: f"KNOWN = {known[number]!r}\n{KEY}\n{answer}" for number, answer in ANSWERS.items()})
