"""Whose code is alike: copies are found however they are dressed up, and people who worked alone are left in peace."""
import importlib
import inspect
import io
import itertools
import json
import random
import re
import tokenize

import pytest
from conftest import ROOT

from plmcourse.checks import EXERCISES
from plmcourse.grading import similar as module
from plmcourse.grading.similar import NO_VERDICT, OURS, Pair, listing, similar
from plmcourse.grading.submissions import File, Submission

NUMBERS = sorted(EXERCISES)


def submission(student, *cells, **grade_ids):
    """A notebook with these code cells."""
    cells = [{"cell_type": "code", "source": source, "metadata": {"nbgrader": {"grade_id": grade_ids.get(f"cell{place}", "")}}}
             for place, source in enumerate(cells, 1)]
    return raw(student, json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode())


def raw(student, *contents):
    files = [File(f"{place}.ipynb", len(content), 0.0, lambda content=content: content) for place, content in enumerate(contents)]
    return Submission(student, student, tuple(files), (), {})


def right_answers(number):
    """Lists of right answers, one list for each function of the exercise: what people wrote who did not see each other's."""
    answers = importlib.import_module(f"wrong_answers.e{number.replace('.', '_')}")
    for name in EXERCISES[number].names:
        yield [re.sub(rf"\bright_{name}\w*", name, inspect.getsource(answer)) for key, answer in vars(answers).items()
               if key.startswith("right_") and key.removeprefix("right_").split("__")[0] == name]


def independent(number):
    """One cell per solver, as many as there are right answers to each function of the exercise."""
    return ["\n\n".join(parts) for parts in zip(*right_answers(number))]


@pytest.fixture(scope="module")
def a_class():
    """Solver -> cells, one per exercise; where an exercise has fewer answers than there are solvers, some have none."""
    cells = {}
    for number in NUMBERS:
        for place, cell in enumerate(independent(number)):
            cells.setdefault(f"solver{place}", {})[number] = cell
    return cells


def submissions_of(cells):
    return [submission(student, *answers.values()) for student, answers in cells.items()]


def names(pairs):
    return {(pair.first, pair.second) for pair in pairs}


# --- how a copy is dressed up ---

def retokenized(text, change):
    """Text with each token passed through ``change(kind, text, before)``; ``before`` is what stands before it, without blanks."""
    tokens, before = [], ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        tokens.append((token.type, change(token.type, token.string, before)))
        before += token.string
    return tokenize.untokenize(tokens)


def renamed(text):
    asked = set(itertools.chain(*(exercise.names for exercise in EXERCISES.values())))
    kept = asked | module.KNOWN

    def change(kind, word, before):
        own = kind == tokenize.NAME and word not in kept and (not before.endswith(".") or before.endswith("self."))
        return f"my_{word}" if own else word

    return retokenized(text, change)


def other_literals(text):
    def change(kind, word, before):
        if kind == tokenize.NUMBER:
            return f"{word}0"
        return '"other words"' if kind == tokenize.STRING and not word.startswith(("f", "b")) else word

    return retokenized(text, change)


def commented(text):
    lines = []
    for line in text.split("\n"):
        lines += [line, ""]
        if line.rstrip().endswith(":") and line.startswith(("def", "class")) and "(" in line:
            lines += ['    """My own words."""', "    # and more of them"]
    return "\n".join(lines)


def blocks_reordered(text):
    return "\n\n".join(reversed(re.split(r"\n(?=def |class |@)", text)))


def with_extra_lines(text):
    """A statement of one's own before every fourth statement in the body of a function."""
    lines, new, starts = text.split("\n"), True, []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if new and token.type not in module.LAYOUT:
            follows = lines[token.start[0] - 2].lstrip().startswith("@")
            follows = follows or token.string in ("else", "elif", "except", "finally", "def")
            starts += [token.start[0] - 1] if token.start[1] == 4 and not follows else []
            new = False
        new = new or token.type == tokenize.NEWLINE
    for seen, row in reversed(list(enumerate(starts))):
        if seen % 4 == 2:
            lines.insert(row, f"    checked_{row} = True")
    return "\n".join(lines)


DRESSES = {"as it is": str, "renamed": renamed, "commented": commented, "other literals": other_literals,
           "reordered": blocks_reordered, "extra lines": with_extra_lines,
           "all": lambda text: renamed(commented(other_literals(blocks_reordered(with_extra_lines(text)))))}


# --- independent work is left in peace ---

def test_nobody_who_worked_alone_is_listed(a_class):
    assert len(a_class) > 5
    assert similar(submissions_of(a_class)) == []


@pytest.mark.parametrize("number", NUMBERS)
def test_nobody_is_listed_for_one_exercise_either(number):
    solvers = [submission(f"solver{place}", cell) for place, cell in enumerate(itertools.chain(*right_answers(number)))]
    assert len(solvers) > 2 and similar(solvers, [number]) == []


def test_untouched_notebooks_are_not_listed():
    stubs = [path.read_bytes() for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert len(stubs) == 8 and similar([raw(student, *stubs) for student in ("alice", "bob", "eve")]) == []


def test_a_short_answer_that_everybody_writes_is_not_listed():
    answer = "def mean_pool(hidden, tokens):\n    mask = ((tokens > 3) & (tokens < 29)).unsqueeze(-1)\n" \
             "    return (hidden.float() * mask).sum(1) / mask.sum(1)\n"
    assert similar([submission(f"student{place}", renamed(answer) if place % 2 else answer) for place in range(30)]) == []


def test_what_most_of_the_class_has_says_nothing(a_class):
    """The same answer of 200 tokens: two who share it are listed, a hundred are not."""
    answer = a_class["solver1"]["1.3"]
    others = [submission(f"other{place}", cell) for place, cell in enumerate(independent("1.3")[2:])]
    few = [submission(f"student{place}", answer) for place in range(2)]
    many = [submission(f"student{place:03}", answer) for place in range(100)]
    assert names(similar([*others, *few])) == {("student0", "student1")}
    assert similar([*others, *many]) == []


# --- copies are found ---

@pytest.mark.parametrize("dress", DRESSES)
def test_a_copy_of_a_whole_notebook_is_found(a_class, dress):
    notebook = [number for number in NUMBERS if number.startswith("4.")]
    copy = [DRESSES[dress](a_class["solver1"][number]) for number in notebook]
    pair, = similar([*submissions_of(a_class), submission("copyist", *copy)])
    assert (pair.first, pair.second) == ("copyist", "solver1")
    assert set(pair.exercises) <= set(notebook) and len(pair.exercises) >= 3 and pair.share > 0.6 and pair.tokens > 100


@pytest.mark.parametrize("dress", ["renamed", "all"])
def test_copies_agree_in_nearly_all_exercises(a_class, dress):
    copied = {number: cell for number, cell in a_class["solver1"].items() if len(cell) > 200}
    pair, = similar([*submissions_of(a_class), submission("copyist", *map(DRESSES[dress], copied.values()))])
    print(f"{dress}: {pair.share}, not {set(copied) - set(pair.exercises)}")
    assert len(copied) > 25 and len(pair.exercises) >= 0.95 * len(copied) and pair.share > 0.8


def test_helper_functions_in_another_order_and_elsewhere_in_the_cell(a_class):
    helpers = ["def centre(points):\n    middle = points.mean(0, keepdim=True)\n    return points - middle, middle.squeeze(0)\n",
               "def turn(a, b):\n    u, _, v = torch.linalg.svd(a.T @ b)\n    flip = torch.sign(torch.det(u @ v))\n"
               "    return u @ torch.diag(torch.tensor([1.0, 1.0, flip])) @ v\n"]
    main = "def kabsch_rmsd(a, b):\n    a, b = centre(a)[0], centre(b)[0]\n" \
           "    return ((a @ turn(a, b) - b) ** 2).sum(1).mean().sqrt()\n"
    first = submission("alice", "\n".join([*helpers, main]))
    second = submission("bob", "import torch\n" + renamed("\n".join([main, "x = 3\n", *reversed(helpers)])))
    assert names(similar([first, second], ["7.1"])) == {("alice", "bob")}


def test_a_copy_of_the_course_s_own_answer_shows_up_by_name(a_class):
    own = [renamed("\n\n".join(map(inspect.getsource, EXERCISES[number].references))) for number in ("3.3", "7.2")]
    pair, = similar([*submissions_of(a_class), submission("copyist", *own)])
    assert (pair.first, pair.second, pair.exercises) == ("copyist", OURS, ("3.3", "7.2")) and pair.share > 0.9


def test_a_copy_of_the_solutions_shows_up_by_name():
    path = ROOT / "solutions" / "07_esmfold.ipynb"
    pair, = similar([raw("copyist", path.read_bytes())])
    assert pair.second == OURS and len(pair.exercises) >= 3 and pair.share > 0.9


def test_a_ring_is_found(a_class):
    ring = [submission(f"ring{place}", renamed(a_class["solver1"]["1.3"]), a_class["solver0"]["5.4"]) for place in range(5)]
    others = submissions_of({student: cells for student, cells in a_class.items() if student not in ("solver0", "solver1")})
    assert names(similar([*others, *ring])) == set(itertools.combinations([f"ring{place}" for place in range(5)], 2))


def test_a_renamed_function_is_found_by_the_cell_s_grade_id(a_class):
    cell = a_class["solver1"]["1.3"].replace("audit_masking", "my_audit")
    found = similar([submission("alice", a_class["solver1"]["1.3"]), submission("bob", cell, cell1="solution-1-3")], ["1.3"])
    assert names(found) == {("alice", "bob")}


def test_a_stub_that_was_left_further_down_does_not_hide_the_answer(a_class):
    stub = "def audit_masking(mask_fn):\n    raise NotImplementedError\n"
    answer = a_class["solver1"]["1.3"]
    assert len(similar([submission("alice", answer, stub), submission("bob", stub, answer)], ["1.3"])) == 1


def test_the_order_of_students_does_not_matter(a_class):
    students = submissions_of(a_class)
    students += [submission("copyist", renamed(a_class["solver1"]["4.3"]), *list(a_class["solver2"].values())[-9:]),
                 submission("eve", *a_class["solver3"].values())]
    expected = similar(students)
    assert len(expected) >= 3
    for seed in range(2):
        random.Random(seed).shuffle(students)
        assert similar(iter(students)) == expected


ONE = '''
class Adapter(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, 4); self.rate = 0.5

    def forward(self, x):
        if x is None:
            raise ValueError(f"no x but {x!r:>{4}}")
        return self.rate * self.layer(x)[:, 0]
'''
SAME = '''
@torch.no_grad()
class Adapter(nn.Module):
    """Mine."""

    def __init__(me, w):
        r'Mine, too.'
        super().__init__()
        me.linear = nn.Linear(w, 0x10)  # not four
        me.dropout = 1e-3

    def forward(me, inputs):
      if inputs is None:
          raise ValueError("it is " "missing")
      return me.dropout * me.linear(inputs)[:, 1_000]
'''.replace("me", "self")


def test_what_is_left_out_before_code_is_compared():
    one, same = (module._runs(module._blocks(text)) for text in (ONE, SAME))
    assert one == same and len(one) > 40
    for change in (("0]", "-1]"), ("is None", "is not None"), ("self.rate *", "self.rate +"), ("ValueError", "TypeError")):
        assert module._runs(module._blocks(ONE.replace(*change))) != one, change


# --- odd code ---

def test_code_that_does_not_parse_is_compared_as_far_as_it_goes(a_class):
    cell = a_class["solver1"]["1.3"]
    for broken in ("%matplotlib inline\n!pip install torch\n" + cell, cell + "\n    x = (((", cell + '\n"""never closed',
                   "def f(:\n  )\n" + cell, "x = '''\n'\n\n" + cell, "def g():\n        a\n    b\n" + cell, "$ ? 0777\n" + cell):
        found = similar([submission("alice", cell), submission("bob", broken)], ["1.3"])
        assert names(found) == {("alice", "bob")}, broken[:30]


@pytest.mark.parametrize("content, words", [
    (b"[" * 200_000, "nested too deeply"), (b"no json", "not a notebook"), (b"", "empty"), (b'{"cells": 3}', "no list of cells"),
    (json.dumps({"cells": [{"cell_type": "code", "source": "def apc(x):\n" + "    x = x + x\n" * 2000}]}).encode(), "too long"),
])
def test_what_cannot_be_read_is_a_warning_and_spares_the_others(a_class, content, words):
    cell = a_class["solver1"]["1.3"]
    with pytest.warns(UserWarning, match=words) as warned:
        found = similar([raw("eve", content), submission("alice", cell), submission("bob", cell)], ["1.3"])
    assert len(warned) == 1 and str(warned[0].message).startswith("eve: 0.ipynb") and len(found) == 1


def test_a_notebook_that_is_too_large_or_cannot_be_opened_is_a_warning():
    def stop():
        raise OSError("no such file")

    large, gone = File("a.ipynb", 65_000_000, 0.0, stop), File("b.ipynb", 1, 0.0, stop)
    with pytest.warns(UserWarning) as warned:
        assert similar([Submission("eve", "Eve", (large, gone), (), {})], ["1.3"]) == []
    assert ["64 MB" in str(warned[0].message), "no such file" in str(warned[1].message)] == [True, True]


def test_no_student_s_code_is_run_or_parsed(a_class, monkeypatch):
    for name in ("compile", "eval", "exec"):
        monkeypatch.setattr(f"builtins.{name}", lambda *_, **__: pytest.fail("code was compiled or run"))
    bomb = "def audit_masking(f, x=open('stolen', 'w')):\n    return 1\nraise SystemExit\n" + "-" * 5000 + "1\n" + "(" * 5000
    assert module._answers(module.read(submission("eve", bomb).files[0].read()).cells[0], ["1.3"])


def test_many_definitions_that_break_do_not_take_long():
    cell = "def audit_masking(f):\n        a\n    b\n" * 500
    assert len(cell) < module.LARGEST_CELL
    assert 1 < sum(1 for _ in module._statements(cell)) <= 20


# --- many, and in words ---

def test_two_hundred_students(a_class):
    """Random mixtures of the right answers: each answer is there many times, but only one pair agrees in all of them."""
    rng = random.Random(0)
    numbers = [number for number in NUMBERS if number[0] in "38"]
    answers = {number: independent(number) for number in numbers}
    students = {f"student{place:03}": {number: rng.choice(answers[number]) for number in numbers} for place in range(200)}
    students["student007"] = {number: renamed(cell) for number, cell in students["student123"].items()}
    pairs = similar(submissions_of(students))
    assert names(pairs[:1]) == {("student007", "student123")} and len(pairs[0].exercises) >= len(numbers) - 1


def test_an_exercise_that_does_not_exist_is_a_sentence():
    with pytest.raises(ValueError, match="there is no exercise '9.9'"):
        similar([], ["9.9"])


def test_listing_is_a_table_and_no_verdict():
    text = listing([Pair("alice", "bob_12345", ("3.1", "3.3"), 0.876, 120.4), Pair("bob_12345", OURS, ("3.3",), 1.0, 60.0)])
    assert "not a verdict" in NO_VERDICT and text.endswith(NO_VERDICT)
    assert re.search(r"^alice +bob_12345 +88% +120  3.1 3.3$", text, re.M) and OURS in text
    assert "agree" in listing([]) and "verdict" not in listing([])
