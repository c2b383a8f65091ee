"""The package as a student's code sees it under grading: without the answers.

The package is there for the course, not for the answer. In the sandbox the functions that an exercise asks for have no body, in memory
and on disk; while an exercise is examined, the answers to all exercises before it are given back, because its own may build on them.
"""
import ast
import functools
import inspect
import shutil
from pathlib import Path

import plmcourse
from plmcourse.checks import EXERCISES

# Functions that do all the work of an answer, as "module.name", and the exercises whose answer they would be.
HELPERS = {
    "architecture._rotate": ("2.2",), "contacts.each_layer": ("8.1",), "embeddings.hidden_states": ("3.1",), "embeddings._states": ("3.1",),
    "pretraining._labels_are_wrong": ("1.3",), "pretraining._ignores_generator": ("1.3",),
    "scoring.masked_log_probs": ("1.5", "4.1", "4.2", "4.4"), "structures.kabsch": ("7.1",),
}
_LEFT_OUT = ("checks", "grading", "data", "notebooks")  # the sandbox has the data elsewhere
_NEEDED = ("__init__", "modules", "notebook", "plain", "remote", "wire", "worker")  # of this subpackage
_STAND_IN = '''"""Stands for the checks while an answer is examined: the verdict falls elsewhere."""
import importlib

ANSWERS = {answers!r}  # exercise -> "module.name" of what it asks for


def check(number, *functions):
    """The course's own answer where it is open (exercises before the one examined), else what was given."""
    found = [getattr(importlib.import_module("plmcourse." + name.split(".")[0]), name.split(".")[1]) for name in ANSWERS.get(number, ())]
    chosen = functions if not found or any(getattr(one, "closed", False) for one in found) else found
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def hint(number):
    """Nothing: nobody reads it here."""


progress = hint


def points(number):
    """Nobody counts here."""
    return 0


def scores():
    """Nobody counts here."""
    return {{}}
'''


def order(number):
    """Sorts exercises as the course has them."""
    return tuple(map(int, number.split(".")))


def answers(number):
    """The "module.name" of each function that an exercise asks for."""
    return [f"{reference.__module__.removeprefix('plmcourse.')}.{reference.__name__}" for reference in EXERCISES[number].references]


def closed_names():
    """All "module.name" that have no body in the sandbox."""
    return [name for number in sorted(EXERCISES, key=order) for name in answers(number)] + list(HELPERS)


def write_package(folder):
    """Write the package without answers into ``folder``/plmcourse; the folder must not hold one yet."""
    source, target = Path(plmcourse.__file__).parent, Path(folder) / "plmcourse"
    (target / "grading").mkdir(parents=True)
    (target.parent / "data").mkdir()  # where the sandbox mounts the course's data
    names = closed_names()
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        wanted = inside.parts[0] not in _LEFT_OUT or inside.parts[0] == "grading" and path.stem in _NEEDED
        if not wanted or not path.is_file() or "__pycache__" in inside.parts:
            continue
        (target / inside).parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".py" and len(inside.parts) == 1:
            own = {name.split(".")[1] for name in names if name.split(".")[0] == path.stem}
            (target / inside).write_text(without(path.read_text(encoding="utf-8"), own), encoding="utf-8")
        else:
            shutil.copyfile(path, target / inside)
    (target / "checks.py").write_text(_STAND_IN.format(answers={number: answers(number) for number in EXERCISES}), encoding="utf-8")


def without(source, names):
    """A module's source in which the functions and classes of these names only refuse."""
    lines = source.splitlines(keepends=True)
    for node in reversed(ast.parse(source).body):
        if getattr(node, "name", None) in names and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            lines[node.lineno - 1 - len(node.decorator_list):node.end_lineno] = [_refusing(node.name)]
    return "".join(lines)


def _refusing(name):
    return (f"def {name}(*arguments, **options):\n    raise RuntimeError(\n        \"{name} of the package is not there while "
            f"answers are examined: it is, or contains, what the exercise asks for\")\n\n\n{name}.closed = True\n")


@functools.cache
def reopened(number):
    """What to give back while an exercise is examined.

    Returns
    -------
    list of (module, name, source)
        In order; each source holds the function and whatever closed it needs of its own module.
    """
    earlier = [name for other in sorted(EXERCISES, key=order) if order(other) < order(number) for name in answers(other)]
    helpers = [name for name, exercises in HELPERS.items() if number not in exercises]
    return [(f"plmcourse.{name.split('.')[0]}", name.split(".")[1], _with_needs(*name.split("."))) for name in helpers + earlier]


@functools.cache
def _with_needs(module, name):
    """Source of a function with that of the closed ones of its module which it needs, directly or not."""
    own = inspect.getmodule(getattr(plmcourse, module))
    there = {other.split(".")[1] for other in closed_names() if other.split(".")[0] == module}
    found, waiting = {}, [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found[current] = inspect.getsource(getattr(own, current))
            used = {node.id for node in ast.walk(ast.parse(found[current])) if isinstance(node, ast.Name)}
            waiting += sorted(used & there)
    return "\n\n".join(reversed(found.values()))
