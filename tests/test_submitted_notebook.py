"""Reading what students hand in, and cutting out the code that an exercise needs."""

import ast
import inspect
import json
import random
import traceback
from pathlib import Path

import pytest
import torch

from plmcourse.checks import EXERCISES
from plmcourse.grading.notebook import Notebook, answer, exercises, read, statements

ROOT = Path(__file__).resolve().parents[1]
NAMES = [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
HEAD, CHECK = "import plmcourse as pc", 'mean_pool = pc.check("3.2", mean_pool)'


def bundle(*cells, **more):
    """A notebook as bytes; a cell that begins with '#md ' is markdown."""
    made = [
        {"cell_type": "markdown", "source": cell[4:]} if cell.startswith("#md ") else {"cell_type": "code", "source": cell}
        for cell in cells
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made} | more).encode()


def program(*cells):
    return statements(read(bundle(*cells)))


def cut(*cells, number="3.2", names=("mean_pool",)):
    return answer(program(*cells), number, list(names))


def lines(result):
    """The first line of each statement of an answer."""
    return [one.source.split("\n")[0] for one in result.code]


def run(result, **namespace):
    """Execute an answer; its functions."""
    namespace |= {"__name__": "submission"}
    for one in result.code:
        exec(one.compile(), namespace)
    return [eval(expression, namespace) for expression in result.expressions]


def course(folder, name):
    notebook = read((ROOT / folder / f"{name}.ipynb").read_bytes())
    return notebook, statements(notebook)


def numbers(name):
    return [number for number in sorted(EXERCISES) if number[0] == str(int(name[:2]))]


# --- the course's own notebooks ---


@pytest.mark.parametrize("name", NAMES)
def test_of_a_solution_little_is_cut_out_and_it_works(name):
    notebook, found = course("solutions", name)
    assert notebook.notes == found.notes == []
    assert exercises(notebook, found) == set(numbers(name))
    for number in numbers(name):
        result = answer(found, number, EXERCISES[number].names)
        assert (result.notes, result.problem, result.missing) == ([], None, set())
        assert len(result.code) <= 12, lines(result)  # imports, helpers, earlier answers: no training, no figures
        assert not any(isinstance(one.code, (ast.For, ast.Expr, ast.With)) for one in result.code), lines(result)
        for made, reference in zip(run(result), EXERCISES[number].references):
            assert made.__name__ == reference.__name__ and made.__module__ == "submission"
            assert isinstance(made, type) == isinstance(reference, type)


@pytest.mark.parametrize("name", NAMES)
def test_of_an_untouched_notebook_the_stubs_are_cut_out(name):
    notebook, found = course("notebooks", name)
    assert notebook.notes == found.notes == []
    for number in numbers(name):
        result = answer(found, number, EXERCISES[number].names)
        assert result.notes == [] and result.problem is None
        stubs = [one for one in result.code if getattr(one.code, "name", None) in result.expressions]
        assert len(stubs) == len(EXERCISES[number].names)
        assert all("raise NotImplementedError" in one.source for one in stubs)


def test_two_answers_cut_out_compute_what_they_should():
    _, found = course("solutions", "03_embeddings")
    (pool,) = run(answer(found, "3.2", ["mean_pool"]))
    hidden, tokens = torch.arange(12.0).reshape(1, 4, 3), torch.tensor([[0, 5, 6, 2]])
    assert torch.equal(pool(hidden, tokens), hidden[:, 1:3].mean(1))
    _, found = course("solutions", "01_masked_language_modeling")
    loss, perplexity = run(answer(found, "1.2", ["mlm_loss", "perplexity"]))
    assert perplexity(torch.zeros(1, 2, 33), torch.tensor([[4, -100]])) == pytest.approx(33)
    assert inspect.unwrap(loss) is perplexity.__globals__["mlm_loss"]


def test_without_their_checks_the_solutions_still_give_all_functions():
    for name in NAMES:
        data = json.loads((ROOT / "solutions" / f"{name}.ipynb").read_text(encoding="utf-8"))
        data["cells"] = [cell for cell in data["cells"] if "pc.check(" not in "".join(cell["source"])]
        found = statements(read(json.dumps(data).encode()))
        for number in numbers(name):
            result = answer(found, number, EXERCISES[number].names)
            assert result.problem is None and result.notes == [f'The notebook does not call check("{number}", …).']
            assert [made.__name__ for made in run(result)] == EXERCISES[number].names


def test_a_renamed_file_is_known_by_its_checks_headings_and_cell_names():
    assert exercises(*pair("from plmcourse import check as c", 'f = c("3.2", f)')) == {"3.2"}
    assert exercises(*pair("import plmcourse.checks as ch", 'f = ch.check("4.1", f)')) == {"4.1"}
    assert exercises(*pair("import plmcourse", 'f = plmcourse.check("5.1", f)')) == {"5.1"}
    assert exercises(*pair("from plmcourse import *", 'f = check("6.1", f)')) == {"6.1"}
    assert exercises(*pair("#md # Title\n\n### Exercise 7.4 · coordinates ◆◆")) == {"7.4"}
    assert exercises(*pair('x = (1\npc.check("8.2", apc)')) == {"8.2"}
    assert exercises(*pair("check = print", 'other.check("1.1", f)', 'print("1.2")')) == set()
    cell = {"cell_type": "code", "source": "pass", "metadata": {"nbgrader": {"grade_id": "solution-2-5-2"}}}
    notebook = read(json.dumps({"cells": [cell]}).encode())
    assert exercises(notebook, statements(notebook)) == {"2.5"}


def pair(*cells):
    notebook = read(bundle(*cells))
    return notebook, statements(notebook)


# --- files of all kinds ---


def plain(content):
    """Sources of the code cells; no notes."""
    notebook = read(content)
    assert notebook.notes == []
    return [cell.source for cell in notebook.cells]


def test_byte_order_marks_and_windows_line_ends():
    text = bundle("a = 1\r\nb = 'µ'\rc = 3").decode()
    for content in (b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.replace("{", "{\r\n").encode()):
        assert plain(content) == ["a = 1\nb = 'µ'\nc = 3"]


def test_old_and_new_formats():
    cells = [
        {"cell_type": "heading", "level": 1, "source": "T"},
        {"cell_type": "code", "input": ["a = 1\n", "b = 2"], "language": "python"},
    ]
    old = read(json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}, {"cells": cells}]}).encode())
    assert [(cell.number, cell.source) for cell in old.cells] == [(2, "a = 1\nb = 2"), (4, "a = 1\nb = 2")]
    assert old.notes == []
    for minor in range(6):
        assert plain(bundle("a = 1", nbformat_minor=minor)) == ["a = 1"]
    bare = {"cells": [{"source": ["a = 1", "b = 2"]}, {"cell_type": "code", "metadata": None, "source": [], "outputs": None}]}
    assert plain(json.dumps(bare).encode()) == ["a = 1\nb = 2", ""]


def test_colab_and_vs_code_metadata():
    cell = {
        "cell_type": "code",
        "source": '#@title Set-up { run: "auto" }\na = 1 #@param',
        "execution_count": None,
        "outputs": [],
        "metadata": {"id": "x", "colab": {"base_uri": "u"}, "vscode": {"languageId": "python"}, "nbgrader": "?"},
    }
    assert plain(json.dumps({"cells": [cell], "metadata": {"colab": {"provenance": []}, "accelerator": "GPU"}}).encode())[
        0
    ].endswith("#@param")


def test_outputs_of_fifty_megabytes():
    cell = {"cell_type": "code", "source": "a = 1", "outputs": [{"output_type": "stream", "text": ["x" * 1000] * 50_000}]}
    assert plain(json.dumps({"cells": [cell]}).encode()) == ["a = 1"]


@pytest.mark.parametrize(
    "content, source, note",
    [
        (bundle("a = 1") + b"\n}garbage", "a = 1", "Something follows the end of the notebook in the file; it is ignored."),
        (
            bundle("a = 'M'").replace(b"M", "µ".encode("latin-1")),
            "a = 'µ'",
            "The file is not valid UTF-8, so letters outside ASCII may be wrong.",
        ),
        (bundle("a = 1", "b = 2")[:-1], "a = 1", "The file is damaged or cut off: only its first 2 cells can be read."),
        (bundle("a = 1", "b = 2")[:-8], "a = 1", "The file is damaged or cut off: only its first 1 cells can be read."),
        (json.dumps({"cells": [{"source": "a = 1"}, 5]}).encode(), "a = 1", "Cell 2 has no source that is text; it is left out."),
        (bundle("#md text"), None, "The notebook has no code."),
        (bundle(), None, "The notebook has no code."),
    ],
)
def test_odd_files_are_read_with_a_note(content, source, note):
    notebook = read(content)
    assert notebook.notes == [note]
    assert source is None or notebook.cells[0].source == source


def test_a_few_bad_bytes_do_not_spoil_the_other_letters():
    content = (
        json.dumps({"cells": [{"source": "σ = 'Ångström'"}], "metadata": "?"}, ensure_ascii=False).encode().replace(b"?", b"\xff")
    )
    assert read(content).cells[0].source == "σ = 'Ångström'"


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf \r\n\0", "The file is empty."),
        (b"<!DOCTYPE html>\n<html></html>", "The file is an HTML or XML page, not a notebook."),
        (b"[1, 2]", "The file is JSON, but not a notebook: it has no list of cells."),
        (b'"cells"', "The file is JSON, but not a notebook: it has no list of cells."),
        (b'{"cells": {"a": 1}}', "The file is JSON, but not a notebook: it has no list of cells."),
        (b'{"worksheets": []}', "The file is JSON, but not a notebook: it has no list of cells."),
        (b"import torch\n", "The file is not a notebook: it cannot be read as JSON."),
        (b"PK\x03\x04", "The file is not a notebook: it cannot be read as JSON."),
        (b'{"cells": [ {"sou', "The file is not a notebook: it cannot be read as JSON."),
        (b"[" * 1_000_000, "The file is nested too deeply for a notebook."),
        (
            b'{\n "cells": [\n<<<<<<< HEAD\n {}\n=======\n{}\n>>>>>>> other\n]}',
            "The file has git conflict markers, the first in line 3: the conflict was never resolved.",
        ),
    ],
)
def test_what_is_no_notebook_is_refused_in_a_sentence(content, sentence):
    with pytest.raises(ValueError) as caught:
        read(content)
    assert str(caught.value) == sentence


# --- statements ---


def sources(*cells):
    return [ast.unparse(one.code) for one in program(*cells).statements]


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("%pip install x\n!ls -l \\\n  | wc\nx = 1\n?print\nprint??\n%matplotlib inline", ["x = 1"]),
        ("x = !ls\ny = %who_ls\nz = 2", ["z = 2"]),
        ("%time x = 1\n%timeit y = 2\n%time !ls\nz = %time 3", ["x = 1", "z = 3"]),
        ("%%time\nx = 1", ["x = 1"]),
        ("\n%%capture out\n%%timeit -n 1\n\nx = 1", ["x = 1"]),
        ("%%bash\nx = 1", []),
        ("%%writefile a.py\nx = 1", []),
        ("%%html\n<b>", []),
        (
            "if a:\n    !ls\nelse:\n    %time b = 1\nfor c in d:\n    %cd x\n    e = !pwd",
            ["if a:\n    pass\nelse:\n    b = 1", "for c in d:\n    pass"],
        ),
        (">>> x = 1\n>>> def f():\n...     return 2", ["x = 1", "def f():\n    return 2"]),
        ("    x = 1\n    y = 2", ["x = 1", "y = 2"]),
        ("get_ipython().system('ls')\nx = 1;", ["x = 1"]),
        (
            "σ = 1\nx = 'µ'" + " " * 100_000 + "\ny = '" + "M" * 1_000_000 + "'",
            ["σ = 1", "x = 'µ'", "y = '" + "M" * 1_000_000 + "'"],
        ),
    ],
)
def test_the_syntax_of_ipython_is_undone(cell, expected):
    assert sources(cell) == expected
    assert program(cell).notes == []


@pytest.mark.parametrize(
    "cell, kept, note",
    [
        ("a = 1\nb = (2\nc = 3", ["a = 1", "c = 3"], "line 2: '(' was never closed"),
        (
            "def f():\n    '''doc\n    return 1\n\ndef g():\n    '''doc'''",
            ['def g():\n    """doc"""'],
            "line 2: unterminated triple-quoted",
        ),
        (
            "a = 1\n\n@deco(\n    1)\n@other\ndef f():\n    x =\n\n@deco\ndef g(): pass",
            ["a = 1", "@deco\ndef g():\n    pass"],
            "line 7: invalid syntax",
        ),
        (
            "x = [\n1,\n]\ntext = '''\nline\n'''\nif x:\n    a = 1\n# note\nelse:\n    a = 2\nprint 'no'",
            ["x = [1]", "text = '\\nline\\n'", "if x:\n    a = 1\nelse:\n    a = 2"],
            "line 12: Missing parentheses",
        ),
        ("if x:\n\ty = 1\n        z = 2\nw = 3", ["w = 3"], "line 3: inconsistent use of tabs"),
        ("a = 1\nx = '\0'\nb = 2", ["a = 1", "b = 2"], "null bytes"),
        ("a = 1\nreturn a\nb = 2", ["a = 1", "b = 2"], "line 2: 'return' outside function"),
        ("  a = 1\nb = 2", ["a = 1", "b = 2"], "line 1: unexpected indent"),
        ("!ls\n%%time\na = )\nb = 2", ["b = 2"], "line 3: unmatched ')'"),
        ("%%time\na = )\nb = 2", ["b = 2"], "line 2: unmatched ')'"),
        ("This is text.\nIs it?\nb = 2", ["b = 2"], "line 1: invalid syntax"),
        ("x = " + "(" * 150 + ")" * 150 + "\ny = " + "-" * 100_000 + "1\nz = 2", ["z = 2"], "it is nested too deeply"),
        ("y = 1" + " + 1" * 200_000 + "\nz = 2", ["z = 2"], "it is nested too deeply"),
    ],
)
def test_of_a_broken_cell_what_parses_is_kept(cell, kept, note):
    made = program("start = 0", cell)
    assert [ast.unparse(one.code) for one in made.statements if "((" not in one.source] == ["start = 0", *kept]
    assert len(made.notes) == 1 and made.notes[0].startswith("Cell 2 does not parse: ") and note in made.notes[0]


def test_half_a_surrogate_pair_is_no_crash():
    made = statements(read(b'{"cells": [{"source": "a = 1\\nb = \'\\ud800\'"}]}'))
    assert [one.source for one in made.statements] == ["a = 1", "b = '?'"]


@pytest.mark.parametrize(
    "cell",
    [
        "\n\ndef f(x):\n    return x / 0  # here",
        "%%time\n!ls \\\n  -l\n%matplotlib inline\ndef f(x):\n    return x / 0  # here",
        "x = (\n%time def f(x): return x / 0  # here",
    ],
)
def test_a_traceback_shows_the_students_own_line(cell):
    (made,) = run(cut("a = 1", cell, names=["f"]))
    with pytest.raises(ZeroDivisionError) as caught:
        made(1)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.name) == ("cell 2", "f") and "here" in frame.line


def test_a_future_import_holds_for_later_cells():
    assert run(cut("from __future__ import annotations", "def mean_pool(x: Unknown | None): return x"))[0](3) == 3


# --- answers ---


def test_what_an_answer_needs_is_cut_out_and_nothing_else():
    result = cut(
        HEAD,
        "import torch\nimport numpy as np\nimport math",
        "PAD, EOS = 1, 2\nhidden = train()",
        "torch.manual_seed(0)\nnp.random.seed(0)",
        "def helper(x):\n    hidden = x\n    return deeper(hidden)",
        "def deeper(x): return torch.tensor(x)",
        "train = [train() for hidden in range(9)]",
        "table = {}\ntable['A'] = PAD\ntable.update(B=2)\nprint(table)\nrows = []\nrows.append(train)",
        "plm = pc.load()\nplm.model.eval()",
        "def mean_pool(hidden, tokens, train=EOS):\n    rows = [np for np in tokens]\n    return helper(table), lambda plm: plm",
        CHECK,
        "table['C'] = 3\nPAD = 7",
    )
    assert lines(result) == [
        "import torch",
        "PAD, EOS = 1, 2",
        "def helper(x):",
        "def deeper(x): return torch.tensor(x)",
        "table = {}",
        "table['A'] = PAD",
        "table.update(B=2)",
        "def mean_pool(hidden, tokens, train=EOS):",
    ]
    assert (result.notes, result.problem, result.missing) == ([], None, set())


@pytest.mark.parametrize(
    "change",
    [
        "x[0] = 1",
        "x.y.z = 1",
        "x += 1",
        "x.append(1)",
        "x.setdefault('a', []).append(1)",
        "del x",
        "del x[0]",
        "for i in range(3):\n    x[i] = i",
        "with a as b:\n    x.append(1)",
        "if a:\n    x = 2",
        "register(1)",
        "@register\ndef f(): pass",
        "y = register(2)",
        "(x := 5)",
        "class A:\n    x.y = 1",
        "outer()",
        "try:\n    pass\nexcept E:\n    x = 1",
        "while True:\n    x.pop()",
        "x: int = 1",
        "x[0], y = 1, 2",
    ],
)
def test_what_changes_a_name_that_is_needed_is_cut_out(change):
    functions = "def register(v):\n    global z\n    x.append(v)\ndef outer(): register(1)"
    cells = [functions, "a = 1", "x = []", change, "def mean_pool(): return x", "import plmcourse as pc\n" + CHECK]
    assert change.split("\n")[0] in lines(cut(*cells))
    assert change.split("\n")[0] not in lines(cut(*cells[:4], "def mean_pool(x): return x", cells[5]))


@pytest.mark.parametrize(
    "harmless",
    [
        "print(x)",
        "y = x",
        "def f(x): x[0] = 1\nf(3)",
        "y = x.copy()",
        "check = pc.hint('3.2')",
        "pc.progress(3)",
        "def g():\n    x = []\n    x.append(1)\ng()",
    ],
)
def test_what_only_looks_at_a_name_is_left_out(harmless):
    result = cut(HEAD, "x = []", harmless, "def mean_pool(): return x", CHECK)
    assert lines(result) == ["x = []", "def mean_pool(): return x"]


def test_a_function_that_sets_a_global_is_called():
    result = cut("def setup():\n    global x\n    x = 5", "setup()", "def mean_pool(): return x", HEAD, CHECK)
    assert run(result)[0]() == 5


def test_what_is_overwritten_in_any_case_is_left_out():
    result = cut(
        "x = slow()", "x = 1", "y = x", "x = slow()", "x = 2\nz = [y for q in y]", "def mean_pool(): return x, y", HEAD, CHECK
    )
    assert lines(result) == ["x = 1", "y = x", "x = 2", "def mean_pool(): return x, y"]


def test_a_helper_gets_the_values_of_the_time_it_is_called():
    result = cut("x = 1", "def f(): return x", "y = f()", "x = 2", "def mean_pool(): return y, f()", HEAD, CHECK)
    assert run(result)[0]() == (1, 2)
    assert run(cut("x = 1\ny = sorted([2], key=lambda v: v * x)", "x = 3", "def mean_pool(): return y, x"))[0]() == ([2], 3)


def test_builtins_overwritten_below_do_not_matter():
    assert lines(cut("def mean_pool(x): return sum(x)", HEAD, CHECK, "sum = 3")) == ["def mean_pool(x): return sum(x)"]
    assert lines(cut("sum = 3", "def mean_pool(x): return sum", HEAD, CHECK))[0] == "sum = 3"


@pytest.mark.parametrize(
    "definition",
    [
        "mean_pool = lambda x: x",
        "class mean_pool: pass",
        "from math import exp as mean_pool",
        "mean_pool, other = abs, 1",
        "if True:\n    def mean_pool(x): return x",
        "try:\n    import nothing\nexcept ImportError:\n    mean_pool = abs",
        "with open('/dev/null') as f:\n    def mean_pool(x): return x",
        "for mean_pool in [abs]:\n    pass",
        "if __name__ == '__main__':\n    mean_pool = abs\nelse:\n    mean_pool = abs",
        "@staticmethod\ndef mean_pool(x): return x",
        "async def mean_pool(x): return x",
        "%time mean_pool = abs",
    ],
)
def test_a_function_may_be_defined_in_many_ways(definition):
    result = cut(HEAD, definition, CHECK)
    assert len(result.code) == 1 and callable(run(result)[0]) and result.notes == []


def test_the_last_definition_before_the_check_counts():
    result = cut(HEAD, "def mean_pool(): return 1", "def mean_pool(): return 2", CHECK, "def mean_pool(): return 3", CHECK)
    assert run(result)[0]() == 2
    assert result.notes == [
        "mean_pool is defined 2 times before its check, in cells 2, 3; the last counts.",
        "mean_pool is defined again in cell 5, after its check; that does not count.",
    ]
    assert cut(HEAD, "def mean_pool(): return 1", CHECK, "mean_pool = [1]").notes == []  # a variable of a later cell
    assert run(cut(HEAD, "def mean_pool(): return 1\n" + CHECK))[0]() == 1


def test_cells_out_of_order():
    result = cut(
        HEAD,
        CHECK,
        "class A(nn.Module):\n    pass\nK = two()",
        "def mean_pool(): return A, K, helper()",
        "def helper(): return TWO",
        "from torch import nn",
        "TWO = 2\ntwo = lambda: TWO",
    )
    assert result.notes == ["mean_pool is only defined in cell 4, after its check."]
    (made,) = run(result)
    assert made()[1:] == (2, 2) and issubclass(made()[0], torch.nn.Module)


def test_without_a_check_the_last_function_counts():
    result = cut("def mean_pool(): return 1", "def mean_pool(): return x", "mean_pool = 5", "x = 4")
    assert run(result)[0]() == 4
    assert result.notes == ['The notebook does not call check("3.2", …).']


def test_what_the_check_is_given_may_have_another_name():
    result = cut(HEAD, "import math\ndef my_pool(): return math.pi", 'mean_pool = pc.check("3.2", my_pool)')
    assert (result.expressions, result.problem) == (["my_pool"], None)
    assert lines(result) == ["import math", "def my_pool(): return math.pi"]
    assert result.notes == ["There is no mean_pool; its check in cell 3 is given my_pool; that counts."]
    assert run(cut(HEAD, 'mean_pool = pc.check("3.2", lambda x: x + 1)'))[0](1) == 2
    both = cut(
        HEAD, "fs = [min, max]", 'mlm_loss, perplexity = pc.check("1.2", *fs)', number="1.2", names=["mlm_loss", "perplexity"]
    )
    assert run(both) == [min, max]
    named = cut(HEAD, "def mean_pool(): return 1", 'mean_pool = pc.check("3.2", pc.mean_pool)')
    assert named.expressions == ["mean_pool"] and named.notes == [
        "The check in cell 3 is given pc.mean_pool; what is graded is mean_pool."
    ]


@pytest.mark.parametrize(
    "cells, problem",
    [
        ([HEAD, CHECK], "There is no function mean_pool in the notebook."),
        ([HEAD, "class A:\n    def mean_pool(self): pass", CHECK], "There is no function mean_pool in the notebook."),
        (
            [HEAD, "def mean_pool(x):\n    return (x\n", CHECK],
            "mean_pool cannot be read: cell 2 does not parse: line 2: '(' was never closed.",
        ),
        (
            ["def mean_pool(x):\n    return x +", 'pc.check("3.2", mean_pool)'],
            "mean_pool cannot be read: cell 1 does not parse: line 2: invalid syntax.",
        ),
        (
            ["%%writefile pool.py\ndef mean_pool(x): pass"],
            "mean_pool cannot be read: cell 1 begins with %%writefile and is not run as Python.",
        ),
        (["#md def mean_pool(x): pass"], "mean_pool cannot be read: cell 1 is a markdown cell, not code."),
        ([], "There is no function mean_pool in the notebook."),
    ],
)
def test_a_function_that_is_not_there_is_explained(cells, problem):
    result = cut(*cells)
    assert (result.problem, result.expressions, result.code) == (problem, [None], [])
    assert "class LoRALinear" in cut(number="6.1", names=["LoRALinear"]).problem


def test_a_later_attempt_that_does_not_parse_is_mentioned():
    result = cut(HEAD, "def mean_pool(): return 1", "def mean_pool(): return 1 +", CHECK)
    assert result.notes == ["A later definition of mean_pool does not count: cell 3 does not parse: line 1: invalid syntax."]


def test_checks_of_other_exercises_are_kept_where_needed():
    result = cut(
        HEAD,
        "def embed(): return 7",
        'embed = pc.check("3.1", embed)',
        'pc.check("3.4", embed)',
        "def mean_pool(): return embed()",
        CHECK,
    )
    assert lines(result) == [HEAD, "def embed(): return 7", 'embed = pc.check("3.1", embed)', "def mean_pool(): return embed()"]


def test_star_imports_are_always_there_and_names_of_deleted_cells_are_told():
    result = cut("from math import *", "def mean_pool(x): return torch.exp(x)", HEAD, CHECK)
    assert lines(result)[0] == "from math import *" and result.missing == {"torch"}


# --- whatever the bytes ---


def spoilt(data, rng):
    """The bytes of a notebook after an accident or two."""
    cells = list(data["cells"])
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(cells)) if cells else 0
        kind = rng.choice(["drop", "copy", "move", "cut", "join", "odd", "noise"])
        if kind == "drop":
            cells = cells[:place] + cells[place + rng.randrange(1, 9) :]
        elif kind == "move":
            rng.shuffle(cells)
        elif kind == "odd":
            cells.insert(
                place,
                rng.choice(
                    [None, 3, [], {}, {"source": 5}, {"source": [None]}, {"cell_type": 3, "source": "x"}, {"metadata": []}]
                ),
            )
        elif cells and isinstance(cells[place], dict) and "id" in cells[place]:
            text = "".join(cells[place]["source"]) or "x"
            at = rng.randrange(len(text))
            text = {
                "copy": text,
                "cut": text[:at],
                "join": text[at:] + text[:at],
                "noise": text[:at] + rng.choice("\0\t\r(\"'\\%!?@ \u2028\x0c\ud800{é") * rng.randrange(1, 4) + text[at:],
            }[kind]
            cells.insert(place, {**cells[place], "source": text})
    content = bytearray(json.dumps({**data, "cells": cells}).encode())
    for _ in range(rng.choice([0, 0, 0, 1, 5])):
        at = rng.randrange(len(content))
        content[at : at + rng.choice([1, 1, 2, 300])] = rng.randbytes(rng.randrange(3))
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:invalid:SyntaxWarning", "ignore:invalid:DeprecationWarning")  # text cut at random
def test_whatever_happened_to_a_notebook_it_is_read_or_refused(name):
    data, rng = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")), random.Random(name)
    for _ in range(12):
        try:
            notebook = read(spoilt({**data, "cells": rng.sample(data["cells"], 25)}, rng))
        except ValueError as error:
            assert str(error).startswith("The file ")
            continue
        assert isinstance(notebook, Notebook)
        found = statements(notebook)
        for number in {*exercises(notebook, found), *numbers(name)} & set(EXERCISES):
            result = answer(found, number, EXERCISES[number].names)
            assert (result.problem is None) == (None not in result.expressions)
            for one in result.code:
                one.compile()
