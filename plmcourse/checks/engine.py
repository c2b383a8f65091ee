"""The exercise engine: runs a student's function against an exercise's steps and says in words what is wrong.

An exercise is a list of steps. Each step is a plain function that calls the student's function and raises :class:`Wrong` with one
sentence when an answer is not right. Read the steps of an exercise as its specification.
"""

import copy
import functools
import os
import random
import reprlib
import tempfile
import traceback
from dataclasses import dataclass, field

import hypothesis
import numpy as np
import torch
from hypothesis import HealthCheck, settings

# hypothesis keeps notes on disk: not in the folder in which a student works
_notes = tempfile.TemporaryDirectory(prefix="plmcourse-")
hypothesis.configuration.set_hypothesis_home_dir(_notes.name)

EXERCISES = {}  # number -> Exercise, filled by the modules of this package
_earned = {}  # number -> points of the latest check
_opened = {}  # number -> hints opened so far


class Wrong(AssertionError):
    """A wrong answer: a sentence, and the smallest case that shows it."""

    def __init__(self, sentence, case=None):
        super().__init__(sentence)
        self.case = case


class CheckFailed(AssertionError):
    """Raised by :func:`check` under grading, where a wrong answer must stop the cell."""


@dataclass
class Exercise:
    """An exercise: what is asked for, the course's own functions or classes, hints from vague to almost the line, and steps."""

    number: str
    references: list
    hints: list
    steps: list = field(default_factory=list)

    def __post_init__(self):
        EXERCISES[self.number] = self

    @property
    def names(self):
        return [function.__name__ for function in self.references]

    @property
    def points(self):
        return sum(points for _, points, _ in self.steps)

    def step(self, title, points=1):
        """Decorator: add a function that takes the student's functions and raises :class:`Wrong`."""

        def add(function):
            self.steps.append((title, points, function))
            return function

        return add


def expect(condition, sentence, case=None):
    """Raise :class:`Wrong` with the sentence unless the condition holds."""
    if not condition:
        raise Wrong(sentence, case)


def expect_close(result, expected, mistakes, otherwise, case=None, tolerance=1e-4):
    """Compare a result with the expected one; a result that equals a known mistake gets the mistake's own sentence.

    ``mistakes`` is a dict from sentence to the value that this mistake gives, or a function that returns one: then the mistakes are only
    worked out when something is wrong.
    """
    if _close(result, expected, tolerance):
        return
    for sentence, value in (mistakes() if callable(mistakes) else mistakes).items():
        if _close(result, value, tolerance):
            raise Wrong(sentence, case)
    raise Wrong(otherwise, case)


def _close(a, b, tolerance):
    a, b = (torch.as_tensor(value).detach().double() for value in (a, b))
    return a.shape == b.shape and torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def expect_value_error(function, *arguments, sentence, **options):
    """The student's function must refuse these arguments with a ValueError."""
    try:
        result = function.student(*arguments, **options)
    except ValueError:
        return
    except NotImplementedError:
        raise
    except Exception as error:
        raise Wrong(f"{sentence} It raised {type(error).__name__} where a ValueError is asked for.") from error
    expect(not isinstance(result, Exception), f"{sentence} The error was returned; write 'raise' instead of 'return'.")
    shown = _short(result) if isinstance(result, torch.nn.Module) else repr(result)
    raise Wrong(f"{sentence} It returned {shown} where a ValueError is asked for.")


def smallest(strategy, differs):
    """The smallest input from a hypothesis strategy for which ``differs(input)`` is true, or None.

    The search is the same in every run: a student who changes nothing sees the same case again.
    """
    quiet = settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    try:
        return hypothesis.find(strategy, differs, settings=quiet, random=random.Random(0))
    except hypothesis.errors.NoSuchExample:
        return None
    except hypothesis.errors.Flaky as flaky:
        raise Wrong("Two calls with the same input give two answers.") from flaky


def observed(function, name=None):
    """Wrap a student's function: its errors become sentences, and changing an argument in place is noticed."""
    name = name or getattr(function, "__name__", "the function")

    @functools.wraps(function, updated=())
    def call(*arguments, **options):
        before = [copy.deepcopy(a) if isinstance(a, (torch.Tensor, np.ndarray, list)) else a for a in arguments]
        try:
            result = function(*arguments, **options)
        except NotImplementedError:
            raise
        except Exception as error:
            raise Wrong(
                f"{name} stopped with {type(error).__name__}: {error}{_line(function, error)}", _call(name, arguments, options)
            ) from error
        for model in [a.model for a in arguments if hasattr(a, "tokenize")]:
            left_in_training = model.training
            model.eval()  # the next check must not suffer
            expect(not left_in_training, f"{name} leaves the model in training mode: call .eval() again, or leave the mode alone.")
        expect(result is not None, f"{name} returns None: is the line with 'return' missing?", _call(name, arguments, options))
        _expect_unchanged(name, before, arguments)
        return result

    call.student = function
    return call


def _expect_unchanged(name, before, arguments):
    for position, (old, new) in enumerate(zip(before, arguments), start=1):
        if _same(old, new):
            continue
        if _shape(old) == _shape(new) != ():
            new[:] = old  # the next check must get what was meant
        copied = ".clone()" if isinstance(old, torch.Tensor) else ".copy()"
        raise Wrong(f"{name} changes its input: argument {position} is not the same after the call. Work on a copy, {copied}.")


def _same(old, new):
    if isinstance(old, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, torch.Tensor):
        return torch.equal(old, new)
    return np.array_equal(old, new) if isinstance(old, np.ndarray) else old is new or old == new


def _shape(value):
    return tuple(value.shape) if hasattr(value, "shape") else (len(value),)


def observed_class(student):
    """Wrap a student's class of modules: what :func:`observed` does for a function, it does for making one and for ``forward``."""
    name = getattr(student, "__name__", "the class")
    build = observed(student)

    def make(*arguments, **options):
        torch.manual_seed(0)  # a module draws its first weights: the same each time
        made = build(*arguments, **options)
        expect(
            isinstance(made, torch.nn.Module),
            f"{_call(name, arguments, options)} makes a {type(made).__name__}; asked for is a class that inherits from torch.nn.Module.",
        )
        made.forward = observed(made.forward, f"{name}.forward")
        return made

    make.student = student
    return make


def _short(value):
    """A value as a student would recognise it, on one line."""
    if hasattr(value, "tokenize"):
        return "plm"
    if isinstance(value, torch.Generator):
        return "generator"
    if isinstance(value, torch.nn.Module):
        return repr(value) if "\n" not in repr(value) else type(value).__name__  # Linear(in_features=3, …) fits, a model does not
    if hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {list(value.shape)}"
    if isinstance(value, list) and value and hasattr(value[0], "shape"):
        return f"[{len(value)} x {type(value[0]).__name__}]"
    return reprlib.repr(value)


def _call(name, arguments, options):
    """A call as a student would write it, long arguments shortened."""
    return f"{name}({', '.join([*map(_short, arguments), *(f'{key}={_short(value)}' for key, value in options.items())])})"


def _line(function, error):
    """Where in the student's own code an error came up, in words."""
    if hasattr(error, "student_line"):  # it came up in another process, which found the line itself
        return f" (in the line: {error.student_line})" if error.student_line else ""
    parts = [function, *getattr(function, "__dict__", {}).values()]  # of a class, its methods
    files = {part.__code__.co_filename for part in parts if hasattr(part, "__code__")}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    return f" (in the line: {frames[-1].line})" if frames and frames[-1].line else ""


_OWN = "○ {number} {names}: this is the course's own, which earns nothing. Run the cell with yours again, then this one."


def find(number):
    """The exercise of that number; ValueError if there is none."""
    if number not in EXERCISES:
        raise ValueError(f"there is no exercise {number!r}; there are: {', '.join(sorted(EXERCISES))}")
    return EXERCISES[number]


def check(number, *functions):
    """Check the answer to an exercise and return the function or class to go on with.

    Parameters
    ----------
    number : str
        Such as "3.2".
    *functions : callable
        The student's functions or classes, in the order in which the exercise names them.

    Returns
    -------
    callable, or tuple of callables
        The student's own when all steps pass, the course's otherwise: the notebook runs on either way.

    Raises
    ------
    CheckFailed
        For a wrong answer when the environment has ``PLMCOURSE_GRADING=1``.
    """
    exercise = find(number)
    if len(functions) != len(exercise.references):
        raise TypeError(f"exercise {number} checks {' and '.join(exercise.names)}: pass {'both' if len(exercise.names) == 2 else 'it'}")
    for function, reference in zip(functions, exercise.references):
        kind = "class" if isinstance(reference, type) else "function"
        if not callable(function) or isinstance(function, torch.nn.Module):
            raise TypeError(f"exercise {number} checks a {kind}, not a {type(function).__name__}: write its name without brackets")
    own = list(functions) == exercise.references  # as when the cell of a check that failed is run again
    properties = [] if own else run(exercise, lambda: functions)
    _earned[number] = _earned.get(number, 0) if own else sum(part.points for part in properties if part.passed)
    text = _OWN.format(number=number, names=", ".join(exercise.names)) if own else _report(exercise, properties)
    right = not own and all(part.passed for part in properties)
    if not right and os.environ.get("PLMCOURSE_GRADING") == "1":
        raise CheckFailed(text) from next((part.wrong for part in properties if part.wrong), None)
    print(text)
    chosen = functions if right else exercise.references
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


@dataclass
class Property:
    """What became of one step: ``passed`` is None where it was not run, ``wrong`` says why it failed."""

    title: str
    points: int
    passed: bool | None = None
    wrong: Exception | None = None


def run(exercise, functions, around=lambda step: step()):
    """Run the steps one by one and give each its points.

    Two kinds of failure end the run: that of a step without points, a condition for all that follow; and one before any points are
    earned, for an answer that always raises a ValueError must not be paid for refusing bad input.

    Parameters
    ----------
    exercise : Exercise
    functions : callable
        Called for each step; returns the student's functions or classes.
    around : callable
        Runs a step, which it is given as a function; returns what is wrong, or None.

    Returns
    -------
    list of Property
    """
    properties = [Property(title, points) for title, points, _ in exercise.steps]
    for part, (_, _, test) in zip(properties, exercise.steps):
        part.wrong = around(lambda test=test: _attempt(exercise, test, functions()))
        part.passed = part.wrong is None
        if not part.passed and not (part.points and any(other.passed and other.points for other in properties)):
            break
    return properties


def _attempt(exercise, test, functions):
    """Run one step; what is wrong, or None."""
    students = [
        observed_class(function) if isinstance(reference, type) else observed(function)
        for function, reference in zip(functions, exercise.references)
    ]
    try:
        with torch.random.fork_rng(devices=[]):  # checks draw numbers, too: the notebook's stay as they would be
            test(*students)
    except (Wrong, NotImplementedError) as wrong:
        return wrong
    except Exception as error:  # a value of another kind than asked for can break a step in many ways
        wrong = Wrong(
            f"What {' and '.join(exercise.names)} returned cannot be used ({type(error).__name__}: {error}): is it of "
            "the kind that is asked for?"
        )
        wrong.__cause__ = error
        return wrong
    return None


def _report(exercise, properties):
    names, earned = ", ".join(exercise.names), sum(part.points for part in properties if part.passed)
    failed = [part for part in properties if part.wrong]
    if not failed:
        return f"✓ {exercise.number} {names}    {exercise.points} of {exercise.points} points"
    if not earned and isinstance(failed[0].wrong, NotImplementedError):
        return (
            f"○ {exercise.number} {names} is not implemented yet. The course goes on with its own; "
            f'pc.hint("{exercise.number}") helps.'
        )
    kind = "class" if isinstance(exercise.references[0], type) else "function"
    marks = "   ".join(f"{part.title} {'✓' if part.passed else '–' if part.passed is None else '✗'}" for part in properties)
    lines = [f"✗ {exercise.number} {names}    {marks}    {earned} of {exercise.points} points"]
    for part in failed:
        lines.append(f"  {part.title}: {sentence(part.wrong)}" if len(failed) > 1 else f"  {sentence(part.wrong)}")
        if getattr(part.wrong, "case", None):
            lines.append(f"  Smallest case: {part.wrong.case}")
    lines.append(f'  The course goes on with its own {kind}; pc.hint("{exercise.number}") helps.')
    return "\n".join(lines)


def sentence(wrong):
    """What is wrong, in words."""
    return "This is not implemented yet." if isinstance(wrong, NotImplementedError) else str(wrong)


def hint(number):
    """Print the next hint of an exercise: first the idea, then the place to look, then almost the line."""
    exercise = find(number)
    _opened[number] = min(_opened.get(number, 0) + 1, len(exercise.hints))
    last = " (That was the last one.)" if _opened[number] == len(exercise.hints) else ""
    print(f"Hint {_opened[number]} of {len(exercise.hints)} for {number}: {exercise.hints[_opened[number] - 1]}{last}")


def points(number):
    """Points that an exercise is worth."""
    return find(number).points


def scores():
    """Points earned so far in this session: dict from exercise to points, 0 where nothing was checked."""
    return {number: _earned.get(number, 0) for number in sorted(EXERCISES)}


def progress(chapter=""):
    """Print points earned and possible, per exercise whose number begins with ``chapter``."""
    chosen = {number: earned for number, earned in scores().items() if number.startswith(str(chapter))}
    for number, earned in chosen.items():
        exercise = EXERCISES[number]
        print(f"{'✓' if earned == exercise.points else '○'} {number:5} {', '.join(exercise.names):40} {earned} of {exercise.points}")
    print(f"  total {sum(chosen.values())} of {sum(map(points, chosen))} points")
