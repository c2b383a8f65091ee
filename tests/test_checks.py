"""The checks, tested with a class's worth of answers: wrong ones fail with the right sentence, right ones pass."""
import importlib
import inspect
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import plmcourse
from plmcourse.checks import EXERCISES, CheckFailed, check, engine, hint, points, progress, scores
from plmcourse.checks.tiny import tiny_plm

NUMBERS = sorted(EXERCISES)
LEAST_WRONG, LEAST_RIGHT = 6, 3
HERE = os.pathsep.join([str(Path(plmcourse.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])


def answers(kind):
    """All answers of a kind as pytest parameters (number, function or class); the name says which."""
    found = []
    for number in NUMBERS:
        module = importlib.import_module(f"wrong_answers.e{number.replace('.', '_')}")
        found += [pytest.param(number, function, id=f"{number}-{name.removeprefix(kind + '_')}")
                  for name, function in vars(module).items() if name.startswith(f"{kind}_")]
    return found


def target(function):
    """Name of the exercise's function that an answer stands for: ``wrong_mean_pool__sum`` -> ``mean_pool``."""
    return function.__name__.split("_", 1)[1].split("__")[0]


def beside(number, function):
    """The functions to pass to ``check``: this one, and the course's own for the exercise's other function."""
    exercise = EXERCISES[number]
    assert target(function) in exercise.names, f"{function.__name__} answers no function of {number}"
    return [function if name == target(function) else own for name, own in zip(exercise.names, exercise.references)]


def first_right(number):
    """One right answer to an exercise, as the functions to pass to ``check``."""
    return next(beside(*parameter.values) for parameter in answers("right") if parameter.values[0] == number)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny models are slower on many threads, the more so beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def grading(monkeypatch):
    monkeypatch.setenv("PLMCOURSE_GRADING", "1")


@pytest.fixture
def fresh(monkeypatch):
    """No points and no hints from other tests."""
    monkeypatch.delenv("PLMCOURSE_GRADING", raising=False)
    monkeypatch.setattr(engine, "_earned", {})
    monkeypatch.setattr(engine, "_opened", {})


# ---------------------------------------------------------------------------------------------------- the answers

@pytest.mark.parametrize("number, function", answers("wrong"))
def test_wrong_answer_fails_with_its_own_sentence(grading, number, function):
    wanted = [line.strip().removeprefix("message: ") for line in inspect.getdoc(function).splitlines()
              if line.strip().startswith("message: ")]
    assert wanted, "the docstring should say what the check must answer"
    with pytest.raises(CheckFailed) as failed:
        check(number, *beside(number, function))
    text = str(failed.value)
    assert any(message in text for message in wanted), f"asked for: {' or '.join(wanted)}\n{text}"
    assert f"of {points(number)} points" in text
    assert scores()[number] < points(number)


@pytest.mark.parametrize("number, function", answers("right"))
def test_right_answer_gets_all_points(grading, capsys, number, function):
    given = beside(number, function)
    returned = check(number, *given)
    assert scores()[number] == points(number) > 0
    assert f"✓ {number}" in capsys.readouterr().out
    assert (list(returned) if len(given) > 1 else [returned]) == given, "check should return the student's functions"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_courses_own_answer_is_right(number):
    assert all(part.passed for part in engine.run(EXERCISES[number], lambda: EXERCISES[number].references))


@pytest.mark.parametrize("number", NUMBERS)
def test_the_courses_own_answer_earns_nothing(fresh, capsys, monkeypatch, number):
    references = EXERCISES[number].references
    returned = check(number, *references)
    assert "this is the course's own, which earns nothing" in capsys.readouterr().out
    assert (list(returned) if len(references) > 1 else [returned]) == references and scores()[number] == 0
    monkeypatch.setenv("PLMCOURSE_GRADING", "1")
    with pytest.raises(CheckFailed, match="earns nothing"):
        check(number, *references)


def test_a_failed_check_that_is_run_again_keeps_its_points(fresh, capsys):
    """A notebook binds what the check returns: run again, the check gets the course's own function."""
    def no_half(hidden, tokens):
        real = ((tokens >= 4) & (tokens <= 23)).unsqueeze(-1)  # X, B, U, Z and O are left out
        return (hidden.float() * real).sum(1) / real.sum(1)

    returned = check("3.2", no_half)
    check("3.2", returned)
    assert scores()["3.2"] == 2 < points("3.2")


@pytest.mark.parametrize("name", [name for number in NUMBERS for name in EXERCISES[number].names])
def test_enough_answers(name):
    counted = {kind: sum(target(parameter.values[1]) == name for parameter in answers(kind))
               for kind in ("wrong", "right")}
    assert counted["wrong"] >= LEAST_WRONG and counted["right"] >= LEAST_RIGHT, counted


@pytest.mark.parametrize("number", NUMBERS)
def test_wrong_answer_gets_the_course_s_function_and_no_traceback(fresh, capsys, number):
    wrong = next(beside(*parameter.values) for parameter in answers("wrong") if parameter.values[0] == number)
    returned = check(number, *wrong)
    assert (list(returned) if len(wrong) > 1 else [returned]) == EXERCISES[number].references
    printed = capsys.readouterr()
    assert printed.out.startswith(f"✗ {number}") and "Traceback" not in printed.out + printed.err


# ------------------------------------------------------------------------------------------------------- the stub

def stub(*arguments, **options):
    raise NotImplementedError


@pytest.mark.parametrize("number", NUMBERS)
def test_stub_is_not_implemented_yet(fresh, capsys, number):
    exercise = EXERCISES[number]
    returned = check(number, *[stub] * len(exercise.references))
    printed = capsys.readouterr()
    assert "is not implemented yet" in printed.out and f'pc.hint("{number}")' in printed.out
    assert "Traceback" not in printed.out + printed.err
    assert (list(returned) if len(exercise.references) > 1 else [returned]) == exercise.references
    assert scores()[number] == 0


CLASSES = [number for number in NUMBERS if isinstance(EXERCISES[number].references[0], type)]


class Stub(torch.nn.Module):
    """What a student's notebook holds for a class: both methods raise."""

    def __init__(self, *sizes, **options):
        super().__init__()
        raise NotImplementedError("write your answer here")

    def forward(self, *inputs):
        raise NotImplementedError("write your answer here")


def half_done(reference):
    """A class whose __init__ is written and whose forward is not."""

    class HalfDone(reference):
        def forward(self, *inputs):
            raise NotImplementedError("write your answer here")

    return HalfDone


@pytest.mark.parametrize("number", CLASSES)
def test_stub_of_a_class_is_not_implemented_yet(fresh, capsys, number):
    reference, *others = EXERCISES[number].references
    for given in (Stub, half_done(reference)):
        returned = check(number, given, *others)
        assert (list(returned) if others else [returned]) == [reference, *others]
        assert "is not implemented yet" in capsys.readouterr().out
        assert scores()[number] == 0


@pytest.mark.parametrize("number", CLASSES)
def test_object_instead_of_class(fresh, number):
    reference, *others = EXERCISES[number].references
    backbone = tiny_plm().model.esm
    arguments = {"2.3": (16, 2), "2.4": (2, 16, 2), "5.1": (backbone, 2), "5.2": (backbone, 2), "6.1": (torch.nn.Linear(2, 2),)}
    with pytest.raises(TypeError, match=f"{number} checks a class, not a {reference.__name__}: write its name without brackets"):
        check(number, reference(*arguments[number]), *others)


def test_errors_in_a_class_name_method_and_line(fresh, capsys):
    reference = EXERCISES["2.3"].references[0]

    class Unfinished(torch.nn.Module):
        def __init__(self, dim, heads):
            self.norm1 = torch.nn.LayerNorm(dim)

    class Broken(reference):
        def forward(self, x, mask=None):
            return x + self.nonsense(x)

    class Careless(reference):
        def forward(self, x, mask=None):
            x += 1
            return super().forward(x, mask)

    for given, wanted in (
            (Unfinished, ("Unfinished stopped with AttributeError", "(in the line: self.norm1 = torch.nn.LayerNorm(dim))")),
            (Broken, ("Broken.forward stopped with AttributeError", "(in the line: return x + self.nonsense(x))")),
            (Careless, ("Careless.forward changes its input: argument 1",))):
        check("2.3", given)
        printed = capsys.readouterr()
        assert all(part in printed.out for part in wanted), printed.out
        assert "goes on with its own class" in printed.out and "Traceback" not in printed.out + printed.err


def test_an_input_changed_in_place_is_put_back(fresh, capsys):
    def careless(hidden, tokens):
        tokens += 1
        return hidden.sum(1)

    for _ in range(2):
        check("3.2", careless)
        assert "careless changes its input: argument 2" in capsys.readouterr().out
        check("3.2", *first_right("3.2"))
        assert "✓ 3.2" in capsys.readouterr().out


@pytest.mark.parametrize("number", NUMBERS)
def test_stub_fails_under_grading(grading, number):
    with pytest.raises(CheckFailed, match="is not implemented yet"):
        check(number, *[stub] * len(EXERCISES[number].references))
    assert scores()[number] == 0


# ----------------------------------------------------------------------------------------------------- the engine

@pytest.mark.parametrize("number", NUMBERS)
def test_hints_climb_and_stop_at_the_last(fresh, capsys, number):
    ladder = EXERCISES[number].hints
    assert len(ladder) >= 3
    shown = []
    for _ in range(len(ladder) + 2):
        hint(number)
        shown.append(capsys.readouterr().out)
    for step, (text, wanted) in enumerate(zip(shown, ladder + ladder[-1:] * 2), start=1):
        assert wanted in text and f"Hint {min(step, len(ladder))} of {len(ladder)}" in text


@pytest.mark.parametrize("function", [lambda number: check(number, stub), hint, points])
def test_unknown_exercise(fresh, function):
    with pytest.raises(ValueError, match=r"there is no exercise '9\.9'; there are: .*3\.1"):
        function("9.9")


def test_number_of_functions(fresh):
    with pytest.raises(TypeError, match="parse_mutation and mutation_score: pass both"):
        check("4.1", stub)


@pytest.mark.parametrize("given", [None, 3, torch.zeros(2)], ids=["None", "int", "Tensor"])
def test_result_instead_of_function(fresh, given):
    with pytest.raises(TypeError, match="3.2 checks a function, not a .*: write its name without brackets"):
        check("3.2", given)


def test_progress_counts_points(fresh, capsys):
    check("3.4", *first_right("3.4"))
    check("3.2", stub)
    capsys.readouterr()
    progress(3)
    printed = capsys.readouterr().out
    assert "4.1" not in printed and "nearest_label" in printed
    assert f"total {points('3.4')} of {sum(points(number) for number in NUMBERS if number.startswith('3'))}" in printed


def state():
    """What a check must not touch: three global random states, the tiny model's weights and its mode."""
    model = tiny_plm().model
    kind, keys, *rest = np.random.get_state()
    return {"numpy": (kind, keys.tolist(), rest), "random": random.getstate(), "torch": torch.get_rng_state().tolist(),
            "weights": {name: value.tolist() for name, value in model.state_dict().items()}, "training": model.training,
            "needs gradient": [parameter.requires_grad for parameter in model.parameters()]}


@pytest.mark.parametrize("number", NUMBERS)
def test_check_leaves_no_trace(fresh, number):
    before = state()
    check(number, *first_right(number))
    assert state() == before


def test_training_mode_is_noticed_and_undone(fresh, capsys):
    def careless(plm, sequences, layer=-1):
        plm.model.train()
        return EXERCISES["3.1"].references[0](plm, sequences, layer)

    check("3.1", careless)
    assert "careless leaves the model in training mode" in capsys.readouterr().out
    assert not tiny_plm().model.training


def test_check_leaves_no_files(tmp_path):
    code = "import plmcourse as pc; pc.check('3.3', pc.cluster_split)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=os.environ | {"PYTHONPATH": HERE},
                   capture_output=True)
    assert list(tmp_path.iterdir()) == []


def divides_by_zero(hidden, tokens):
    count = 0
    return hidden.sum(1) / (1 // count)


def test_exception_names_the_line(fresh, capsys):
    check("3.2", divides_by_zero)
    printed = capsys.readouterr()
    assert "divides_by_zero stopped with ZeroDivisionError" in printed.out
    assert "(in the line: return hidden.sum(1) / (1 // count))" in printed.out
    assert "Traceback" not in printed.out + printed.err


def test_exception_shows_the_call(fresh, capsys):
    def needs_one(plm, sequences, layer=-1):
        sequences[0]
        return EXERCISES["3.1"].references[0](plm, sequences, layer)

    check("3.1", needs_one)
    printed = capsys.readouterr().out
    assert "needs_one stopped with IndexError" in printed and "needs_one(plm, [])" in printed


def test_exception_under_grading(grading):
    with pytest.raises(CheckFailed, match="stopped with ZeroDivisionError"):
        check("3.2", divides_by_zero)


@pytest.mark.parametrize("number", NUMBERS)
def test_answers_may_print(fresh, capsys, number):
    def talkative(function):
        def call(*arguments, **options):
            print("here I am")
            return function(*arguments, **options)
        return call

    functions = [talkative(function) for function in first_right(number)]
    returned = check(number, *functions)
    assert (list(returned) if len(functions) > 1 else [returned]) == functions
    assert "here I am" in capsys.readouterr().out


# what a function might return when all goes wrong; each must end in a sentence, never in a traceback
ODD = {"text": "MKT", "number": 3, "float": float("nan"), "empty list": [], "dict": {}, "pair": (None, None),
       "triple": ("a", "b", "c"), "array": np.zeros(3), "scalar tensor": torch.tensor(1.0),
       "tensor": torch.zeros(2, 3), "list of None": [None, None], "object": object(), "type": int, "complex": 1j}


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("number", NUMBERS)
def test_odd_results_end_in_a_sentence(grading, number, odd):
    def answer(*arguments, **options):
        return ODD[odd]

    references = EXERCISES[number].references
    for place in range(len(references)):
        functions = [answer if i == place else own for i, own in enumerate(references)]
        with pytest.raises(CheckFailed):
            check(number, *functions)


def test_the_same_answer_gets_the_same_sentence(fresh, capsys):
    function = next(parameter.values[1] for parameter in answers("wrong") if parameter.id.endswith("split__random"))
    texts = []
    for _ in range(2):
        check("3.3", function)
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
