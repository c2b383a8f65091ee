"""Grading: plain data over a pipe, functions in another process, the sandbox, and a class from its files to its marks."""
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import hostile
import numpy as np
import pytest
import torch
from honest_class import make_class

from plmcourse.checks import EXERCISES, engine, points
from plmcourse.checks.tiny import tiny_plm
from plmcourse.grading import batch, closed, sandbox
from plmcourse.grading.course import Course, write_course
from plmcourse.grading.remote import Peer
from plmcourse.grading.submissions import _readable
from plmcourse.grading.wire import Channel, Ended, TimedOut

NUMBERS = sorted(EXERCISES)
TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ------------------------------------------------------------------------------------------------ functions elsewhere

class Elsewhere:
    """A forked process that answers calls to these functions."""

    def __init__(self, functions):
        ours, theirs = Channel.pair()
        self.pid = os.fork()
        if self.pid == 0:
            peer = Peer(Channel(theirs), "there")
            for number, function in enumerate(functions):
                peer.register(f"there-{number}", function)
            try:
                while True:
                    peer.answer(*peer.channel.receive())
            finally:
                os._exit(0)
        theirs.close()
        self.peer = Peer(ours, "here")
        ours.deadline = time.monotonic() + 120
        self.functions = [self.peer.take({"object": f"there-{number}", "type": "function", "name": function.__name__, "callable": True})
                          for number, function in enumerate(functions)]

    def close(self):
        self.peer.channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def elsewhere(*functions):
    process = Elsewhere(functions)
    try:
        yield process.functions
    finally:
        process.close()


def identity(value):
    return value


VALUES = [None, True, 3, -2**70, 1.5, float("inf"), "text", 1 + 2j, [1, [2]], (1, "a"), {"a": [1]}, {1, 2}, frozenset({3}), b"bytes",
          np.arange(6).reshape(2, 3), np.float32(1.5), np.array(["a", "bc"]), np.array([None, [1]], dtype=object),
          torch.arange(4), torch.tensor(2.5), torch.ones(2, 3, dtype=torch.bfloat16), torch.empty(0, 3), torch.ones(3).bool(),
          torch.tensor([1 + 2j]), slice(1, None), range(3)]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_cross_unchanged(value):
    with elsewhere(identity) as (function,):
        back = function(value)
    assert type(back) is type(value)
    if isinstance(value, torch.Tensor):
        assert back.dtype == value.dtype and torch.equal(back, value)
    elif isinstance(value, np.ndarray):
        assert back.dtype == value.dtype and back.tolist() == value.tolist()
    else:
        assert back == value


def test_nan_crosses():
    with elsewhere(identity) as (function,):
        assert np.isnan(function(float("nan"))) and function(torch.tensor([float("nan")])).isnan().all()


def test_what_is_no_plain_data_stays_where_it_is():
    class Box:
        content = 7

    with elsewhere(lambda: Box()) as (function,):
        box = function()
        assert type(box).__name__ == "Box" and not isinstance(box, Box)
        assert box.content == 7
        with pytest.raises(AttributeError):
            box.lid


def test_an_argument_that_is_changed_there_is_changed_here():
    def spoil(tensor, array, numbers):
        tensor += 1
        array *= 2
        numbers.append(3)
        return 0

    tensor, array, numbers = torch.zeros(3), np.ones(3), [1, 2]
    with elsewhere(spoil) as (function,):
        function(tensor, array, numbers)
    assert tensor.tolist() == [1, 1, 1] and array.tolist() == [2, 2, 2] and numbers == [1, 2, 3]


def test_generators_and_the_global_random_state_move_on():
    def draw(generator):
        return torch.rand(1, generator=generator).item(), torch.rand(1).item(), np.random.rand(), random.random()

    generator, twin = (torch.Generator().manual_seed(5) for _ in range(2))
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    near = [draw(twin) for _ in range(2)]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    with elsewhere(draw) as (function,):
        far = [function(generator), draw(generator)]
    assert far == near


def test_gradients_come_back():
    def compute(x, y):
        return (x * y).sum(), x.exp()

    x, y = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    with elsewhere(compute) as (function,):
        first, second = function(x, y)
        (first + second.sum()).backward()
    assert torch.allclose(x.grad, y.detach() + x.detach().exp()) and torch.allclose(y.grad, x.detach())


def test_a_module_made_there_is_trained_here():
    with elsewhere(torch.nn.Linear) as (make,):
        layer = make(3, 2)
        assert isinstance(layer, torch.nn.Linear) and {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
        with torch.no_grad():
            layer.weight.fill_(1)
            layer.bias.zero_()
        result = layer(torch.ones(1, 3))
        assert result.tolist() == [[3, 3]]
        result.sum().backward()
        assert layer.weight.grad.tolist() == [[1, 1, 1]] * 2


def test_errors_keep_their_kind_and_text():
    class Own(ValueError):
        pass

    def fail(kind):
        raise {"own": Own("mine"), "key": KeyError("k"), "exit": SystemExit(1)}[kind]

    with elsewhere(fail) as (function,):
        for kind, base, text in (("own", ValueError, "mine"), ("key", KeyError, "'k'"), ("exit", Exception, "1")):
            with pytest.raises(base) as caught:
                function(kind)
            assert str(caught.value) == text and type(caught.value).__name__ in ("Own", "KeyError", "SystemExit")


FORGED = [
    {"do": "reply"}, {"do": "reply", "result": {"t": 0}, "tensors": [], "modules": {}, "generators": {}},
    {"do": "reply", "result": 1, "modules": {}, "generators": {},
     "tensors": [{"bytes": [0, 8], "dtype": "float32", "shape": [10**9], "grad": False, "leaf": True, "parameter": False, "meta": False}]},
    {"do": "reply", "result": {"module": "here0"}, "tensors": [], "generators": {}, "modules": {"here0": {}}},
    {"do": "reply", "result": {"_exec": "1"}, "tensors": [], "modules": {}, "generators": {}},
    {"do": "reply", "result": {"array": [0, 8], "dtype": "O", "shape": [1]}, "tensors": [], "modules": {}, "generators": {}},
    {"do": "call", "key": "here0", "number": 1, "arguments": [], "options": {}, "grad": True, "tensors": [], "modules": {}, "generators": {}},
    {"do": "attribute", "key": "here0", "name": "__class__"}, {"do": "backward"}, {"do": "_ask"},
]


@pytest.mark.parametrize("message", FORGED, ids=lambda message: json.dumps(message)[:60])
def test_forged_messages_end_the_conversation(message):
    ours, theirs = Channel.pair()
    other = Channel(theirs)
    other.send(message, [b"\0" * 8])
    peer = Peer(ours, "here")
    ours.deadline = time.monotonic() + 5
    function = peer.take({"object": "there-0", "type": "function", "name": "f", "callable": True})
    with pytest.raises(Ended):
        function(torch.zeros(1))


def test_nothing_over_there_changes_a_language_model_here():
    """A reply that describes the model anew, with other numbers, as one would to make every expected value the same."""
    plm = engine.copy.deepcopy(tiny_plm())
    before = {name: value.clone() for name, value in plm.model.state_dict().items()}

    def spoil(given):
        with torch.no_grad():
            for parameter in given.model.parameters():
                parameter.zero_()
        given.model.lm_head = torch.nn.Identity()
        return given.model.training

    with elsewhere(spoil) as (function,):
        for _ in range(2):
            function(plm)
    assert all(torch.equal(value, before[name]) for name, value in plm.model.state_dict().items())
    ours, theirs = Channel.pair()
    peer, other = Peer(ours, "here"), Channel(theirs)
    key = peer.key(plm.model.lm_head)
    forged = {"training": True, "children": {}, "parameters": {}, "buffers": {}}
    other.send({"do": "reply", "result": 1, "tensors": [], "generators": {}, "modules": {key: forged}, "fixed": [],
                "changes": [[0, None, False]]}, [])
    ours.deadline = time.monotonic() + 5
    with pytest.raises(Ended):  # place 0 of an empty table
        peer.call("there-0", [], {})
    assert plm.model.lm_head.dense.weight is not None and list(plm.model.lm_head._modules)


def test_nobody_waits_for_ever():
    ours, theirs = Channel.pair()
    ours.deadline = time.monotonic() + 0.1
    with pytest.raises(TimedOut):
        ours.receive()
    theirs.send(b"\xff\xff\xff\xff\xff\xff\xff\xff")
    ours.deadline = None
    with pytest.raises(Ended, match="too large"):
        ours.receive()


# ----------------------------------------------------------------------------------- checks give the same verdict there

def answers(number):
    """The course's own functions, and one wrong answer for each, as lists to hand to the check."""
    exercise = EXERCISES[number]
    yield list(exercise.references)
    module = importlib.import_module(f"wrong_answers.e{number.replace('.', '_')}")
    for place, name in enumerate(exercise.names):
        wrong = [found for label, found in vars(module).items() if label.startswith(f"wrong_{name}__")]
        for found in wrong[::max(1, len(wrong) // 3)][:3]:
            yield [found if i == place else own for i, own in enumerate(exercise.references)]


def outcome(properties):
    return [(part.title, part.passed, engine.sentence(part.wrong).split(" (in the line")[0] if part.wrong else None) for part in properties]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_verdict_is_the_same_for_functions_elsewhere(number):
    for functions in answers(number):
        processes = []

        def start():
            processes.append(Elsewhere(functions))
            return processes[-1].functions

        with contextlib.redirect_stdout(io.StringIO()):
            near = outcome(engine.run(EXERCISES[number], lambda: functions))
            try:
                far = outcome(engine.run(EXERCISES[number], start))
            finally:
                for process in processes:
                    process.close()
        assert far == near, [function.__name__ for function in functions]


# ------------------------------------------------------------------------------------------------- partial credit

def test_each_property_earns_its_own_points():
    def no_half(hidden, tokens):
        real = ((tokens >= 4) & (tokens <= 23)).unsqueeze(-1)  # X, B, U, Z and O are left out
        return (hidden.float() * real).sum(1) / real.sum(1)

    properties = engine.run(EXERCISES["3.2"], lambda: [no_half])
    assert [part.passed for part in properties] == [True, True, True, False]
    assert "X" in engine.sentence(properties[-1].wrong)


def test_refusing_everything_earns_nothing():
    def refuse(*arguments, **options):
        raise ValueError("no")

    for number in NUMBERS:
        functions = [refuse] * len(EXERCISES[number].names)
        assert not any(part.passed and part.points for part in engine.run(EXERCISES[number], lambda: functions)), number


# ------------------------------------------------------------------------------------- the package without its answers

def test_the_package_in_the_sandbox_holds_no_answer(tmp_path):
    closed.write_package(tmp_path)
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(tmp_path.rglob("*.py")))
    for name in closed.closed_names():
        module, function = name.split(".")
        body = inspect.getsource(getattr(importlib.import_module(f"plmcourse.{module}"), function)).split("\n", 1)[1]
        assert body.strip() and body not in text, name


def test_only_answers_to_earlier_exercises_are_given_back():
    for number in NUMBERS:
        given = {f"{module.removeprefix('plmcourse.')}.{name}" for module, name, _ in closed.reopened(number)}
        later = [name for other in NUMBERS if closed.order(other) >= closed.order(number) for name in closed.answers(other)]
        assert not given & {*later, *(name for name, exercises in closed.HELPERS.items() if number in exercises)}
    assert "embeddings.mean_pool" in {f"{module.removeprefix('plmcourse.')}.{name}" for module, name, _ in closed.reopened("5.1")}


# ---------------------------------------------------------------------------------------------------- whole classes

@pytest.fixture(scope="module")
def bubblewrap():
    reason = sandbox.missing()
    if reason:
        (pytest.fail if os.environ.get("PLMCOURSE_CI") == "1" else pytest.skip)(reason)


def course(folder, chapters, seed=0):
    """A course directory without nbgrader's files."""
    folder.mkdir()
    stems = sorted(path.stem for path in (TESTS.parent / "notebooks").glob("*.ipynb") if int(path.stem[:2]) in chapters)
    notebooks = {stem: [number for number in NUMBERS if number.startswith(f"{int(stem[:2])}.")] for stem in stems}
    found = Course(folder, seed, notebooks, {number: points(number) for numbers in notebooks.values() for number in numbers})
    write_course(found)
    return found


def marks(results):
    return {result["name"]: {number: found["points"] for number, found in result["exercises"].items()} for result in results}


class TestHostile:  # a class of its own, so that xdist's loadscope runs it beside the honest one
    def test_nobody_gains_or_harms(self, bubblewrap, tmp_path):
        folder, attackers, honest = tmp_path / "submitted", {}, [f"honest {number}" for number in range(3)]
        for name, module in hostile.submissions().items():
            student = folder / getattr(module, "STUDENT", name)
            student.mkdir(parents=True)
            module.make(student)
            attackers[unicodedata.normalize("NFC", _readable(student.name))[:200]] = module
        for name in honest:
            (folder / name).mkdir()
            hostile.write(folder / name, hostile.RIGHT)
        secret = tmp_path / "secret.txt"
        secret.write_text(hostile.SECRET)
        limits = sandbox.Limits(seconds=120, property_seconds=8)
        results = batch.grade(folder, course(tmp_path / "course", [3], seed=7), tmp_path / "grades.csv", 2, limits)
        found = marks(results)
        unfair = [sentence for name, module in attackers.items() for sentence in hostile.verdict(module, found[name])]
        assert not unfair, "\n".join(unfair)
        assert [found[name] for name in honest] == [hostile.POINTS] * 3
        assert len(attackers) >= 24
        everything = json.dumps(results) + "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html"))
        assert hostile.SECRET not in everything
        ours = (folder, tmp_path / "course" / ".grading", tmp_path / "grades_feedback")  # one student has the word in the name
        for place in (tmp_path, Path.home(), Path.cwd()):
            pattern = f"{'**/' if place == tmp_path else ''}*{hostile.CANARY}*"
            assert not [path for path in place.glob(pattern) if not any(path.is_relative_to(own) for own in ours)]


class TestHonest:
    COUNT, KILLS = 40, 20

    def test_exact_marks_through_twenty_kills(self, bubblewrap, tmp_path):
        """A class over all notebooks; the batch is killed at random moments, and goes on each time."""
        expected = make_class(tmp_path / "submitted", self.COUNT)
        found = course(tmp_path / "course", range(1, 9))
        generator, store = random.Random(0), found.folder / ".grading"
        for kill in range(self.KILLS):
            done = len(list(store.glob("*.json"))) + generator.randrange(3)
            child = os.fork()
            if child == 0:
                with contextlib.redirect_stderr(io.StringIO()):
                    batch.grade(tmp_path / "submitted", found, tmp_path / "grades.csv", 2 if kill % 4 == 0 else 1)  # starting costs time
                os._exit(0)
            wait_for(lambda: len(list(store.glob("*.json"))) >= done, 120)
            time.sleep(generator.uniform(0, 3))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        kept = {path.name: path.read_text() for path in (found.folder / ".grading").glob("*.json")}
        assert kept, "nothing was done between the kills"
        command = [sys.executable, "-m", "plmcourse.cli", "grade", str(tmp_path / "submitted"), "--course", str(found.folder),
                   "-o", str(tmp_path / "grades.csv"), "--jobs", "2"]
        assert subprocess.run(command, env=os.environ | {"PYTHONPATH": HERE}, capture_output=True).returncode == 0
        assert all((found.folder / ".grading" / name).read_text() == text for name, text in kept.items()), "what was kept stays"
        first = (tmp_path / "grades.csv").read_text()
        results = batch.grade(tmp_path / "submitted", found, tmp_path / "again.csv", 2)  # all of it is there already
        assert (tmp_path / "again.csv").read_text() == first
        got = {name: {number: value for number, value in found.items() if value} for name, found in marks(results).items()}
        wanted = {name: {number: value for number, value in found.items() if value} for name, found in expected.items()}
        assert got == wanted


def wait_for(condition, seconds):
    """Until the condition holds, or the time is over."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


HERE = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])


def test_without_a_sandbox_grading_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="bubblewrap .* is not installed.*--unsafe"):
        batch.grade(tmp_path, course(tmp_path / "course", [3]), tmp_path / "grades.csv")


def test_two_batches_at_once_are_refused(tmp_path):
    found = course(tmp_path / "course", [3])
    with batch.Store(found).locked(), pytest.raises(ValueError, match="somebody else is grading"), batch.Store(found).locked():
        pass


def test_other_settings_make_a_kept_result_worthless(tmp_path):
    found = course(tmp_path / "course", [3])
    (tmp_path / "alice").mkdir()
    hostile.write(tmp_path / "alice", {})
    [alice] = [one for one in batch.find(tmp_path) if one.student == "alice"]
    batch.Store(found).keep(alice, {"student": "alice"})
    assert batch.Store(found).result(alice) == {"student": "alice"}
    assert batch.Store(dataclasses.replace(found, seed=1)).result(alice) is None
    assert batch.Store(found, fresh=True).result(alice) is None
