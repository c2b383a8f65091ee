"""With another seed of the course the checks ask with other inputs, and judge every answer as before.

The seed is read when the package is imported, so each seed has a process of its own: ``python -c "import test_seeds; …"``.
"""
import contextlib
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import plmcourse
from plmcourse.checks import EXERCISES, engine
from plmcourse.checks.inputs import SEED

PARTS = 6  # a seed runs one answer in six, the next seed the next ones: all of them take minutes
HERE = os.pathsep.join([str(Path(plmcourse.__file__).parents[1]), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def with_seeds(seeds, call):
    """What a function of this file returns in processes with these seeds, side by side."""
    code = f"import json, test_seeds; print(json.dumps(test_seeds.{call}))"
    environment = os.environ | {"PYTHONPATH": HERE, "OMP_NUM_THREADS": "1"}
    started = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], env=environment | {"PLMCOURSE_SEED": str(seed)},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for seed in seeds]
    ended = [process.communicate() for process in started]
    for process, (_, errors) in zip(started, ended):
        assert process.returncode == 0, errors
    return [json.loads(printed) for printed, _ in ended]


# ------------------------------------------------------------------------------------------ the same verdicts

def answers(number):
    """The answers to an exercise that this seed runs, the course's own first: list of (name, functions)."""
    exercise = EXERCISES[number]
    module = importlib.import_module(f"wrong_answers.e{number.replace('.', '_')}")
    found = []
    for name, answer in vars(module).items():
        if name.startswith(("right_", "wrong_")):
            target = name.split("_", 1)[1].split("__")[0]
            found.append((name, [answer if own == target else reference for own, reference in zip(exercise.names, exercise.references)]))
    return [("right, the course's own", exercise.references), *found[SEED % PARTS::PARTS]]


def failure(exercise, functions):
    """The first sentence about an answer, or None; later steps are not run."""
    for _, _, test in exercise.steps:
        wrong = engine._attempt(exercise, test, functions)
        if wrong is not None:
            return engine.sentence(wrong)
    return None


def misjudged():
    """Right answers that fail and wrong ones that pass: list of text."""
    found = []
    with contextlib.redirect_stdout(io.StringIO()):  # some answers print
        for number, exercise in EXERCISES.items():
            for name, functions in answers(number):
                sentence = failure(exercise, functions)
                if name.startswith("right") != (sentence is None):
                    found.append(f"{number} {name}: {sentence or 'passes'}")
    return found


def test_answers_are_judged_alike_with_another_seed():
    assert with_seeds([5, 1786], "misjudged()") == [[], []]


# --------------------------------------------------------------------------------------------- other questions

def mark(value):
    """Text that differs where the value differs."""
    if hasattr(value, "tokenize"):
        return mark(value.model)
    if isinstance(value, torch.nn.Module):
        return mark(value.state_dict())
    if isinstance(value, torch.Generator):
        return str(value.initial_seed())
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return hashlib.sha256(repr((value.shape, value.tolist())).encode()).hexdigest()
    if isinstance(value, dict):
        return mark(list(value.items()))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(mark, value))}]"
    if callable(value):
        return value.__qualname__ + mark([cell.cell_contents for cell in value.__closure__ or ()])
    return repr(value)


def recorded(reference, calls):
    """The course's own function or class; what it is called with is added to the calls."""

    class Recorded(reference if isinstance(reference, type) else object):
        def forward(self, *arguments, **options):
            calls.append(mark([self, arguments, options]))
            return super().forward(*arguments, **options)

    def record(*arguments, **options):
        calls.append(mark([arguments, options]))
        return reference(*arguments, **options)

    return Recorded if isinstance(reference, type) else record


def asked():
    """What each exercise asks: dict from exercise to the calls, a list of hashes."""
    found = {}
    for number, exercise in EXERCISES.items():
        calls = []
        assert failure(exercise, [recorded(reference, calls) for reference in exercise.references]) is None
        found[number] = [hashlib.sha256(call.encode()).hexdigest()[:16] for call in calls]
    return found


# where more than a quarter of the calls are the same with each seed, and why
ALIKE = {
    "2.5": "the six published sizes; the others differ",
    "3.4": "small tables by hand, about ties and repeated labels; random ones follow",
    "4.1": "malformed texts, and a mutation for each of the 20 letters",
    "5.4": "small tables of classes by hand, whose measures are known; drawn ones follow",
    "6.3": "published sizes, and names of layers that do not exist",
    "7.3": "files with one oddity each",
    "7.4": "shapes by hand: two points, a line, a plane, matrices that are none of distances",
}


def test_another_seed_asks_other_questions():
    zero, one = with_seeds([0, 1], "asked()")
    alike = {number: sum(map(str.__eq__, zero[number], one[number])) / len(zero[number]) for number in zero}
    assert {number: share for number, share in alike.items() if share > 0.25 and number not in ALIKE} == {}
    assert all(alike[number] < 0.8 for number in ALIKE)
