"""An honest class: notebooks as students hand them in, some answers right, some wrong, some missing, and their exact points.

    points = make_class(folder, count=40, seed=0)      # writes folder/STUDENT/NOTEBOOK.ipynb
    points["student-07"]["3.2"]                        # what the grader must find: 1

The answers are those of ``wrong_answers/`` and of the solutions, pasted as text into students' notebooks; the points come from
``plmcourse.checks.engine.run`` on the pasted text. Answers that lean on parts of the package which no notebook offers are left
out: whether that is allowed is a matter of taste.
"""
import ast
import builtins
import copy
import functools
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import plmcourse
from plmcourse.checks import EXERCISES, engine

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
EXERCISE_NAMES = {name: number for number, exercise in EXERCISES.items() for name in exercise.names}
STATEFUL = {"wrong_audit_masking__keeps_between_calls"}  # each property has a process of its own: what one remembers, the next does not
SHARES = {"right": 0.5, "wrong": 0.27, "missing": 0.08, "untouched": 0.08, "syntax error": 0.07}


@dataclass
class Paper:
    """What a student hands in for a notebook: answers (exercise -> what was drawn), code (exercise -> cells), oddities."""

    student: str
    notebook: str
    answers: dict = field(default_factory=dict)
    code: dict = field(default_factory=dict)
    oddities: list = field(default_factory=list)


# ------------------------------------------------------------------------------------------------------ answers as text

@dataclass
class Answer:
    """An answer as text: its imports and helpers, itself, and the exercises of the same notebook that it leans on."""

    name: str
    helpers: str
    text: str
    needs: set


@functools.cache
def notebook_cells(notebook):
    """The cells of a student notebook as a string of JSON, to be read anew for each paper."""
    return (ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8")


@functools.cache
def stubs(notebook):
    """Exercise -> source of the cell with its stub."""
    found = {}
    for cell in json.loads(notebook_cells(notebook))["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        if grade_id.startswith("solution-"):
            found[grade_id.removeprefix("solution-").replace("-", ".")] = "".join(cell["source"])
    return found


def notebook_of(number):
    """The notebook of an exercise."""
    return next(notebook for notebook in NOTEBOOKS if number in stubs(notebook))


def imports_of(notebook):
    """The import statements of a notebook, which answers of the solutions rely on."""
    found = []
    for cell in json.loads(notebook_cells(notebook))["cells"]:
        if cell["cell_type"] == "code":
            statements = ast.parse("".join(cell["source"])).body
            found += [ast.unparse(node) for node in statements if isinstance(node, (ast.Import, ast.ImportFrom))]
    return "\n".join(found)


def bound_names(statement):
    """Names that a statement of a module binds."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    return [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]


def used_names(statement):
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def closure(statements, start):
    """Names of a module that ``start`` needs, directly or through others, itself included."""
    found, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name in statements and name not in found:
            found.add(name)
            waiting += used_names(statements[name])
    return found


def open_docstring(statement, lines):
    """Text of an answer with a gap in place of the docstring, which explains the mistake."""
    text, first = lines[statement.lineno - 1:statement.end_lineno], statement.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        text[first.lineno - statement.lineno:first.end_lineno - statement.lineno + 1] = ['    """@DOCSTRING@"""']
    return "\n".join(text)


def docstring(notebook, number, name):
    """What the stub in the student's notebook says about this function."""
    own = next(node for node in ast.parse(stubs(notebook)[number]).body if node.name == name)
    return ast.get_docstring(own, clean=False)


def single_import(statement, name):
    """The import of one name only, in a line of its own."""
    alias = next(alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) == name)
    kind = type(statement)
    rest = {"module": statement.module, "level": 0} if kind is ast.ImportFrom else {}
    return ast.unparse(kind(names=[alias], **rest))


def leans_on_the_package(statement, name):
    """Whether an import takes more from the package than the notebooks do."""
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("plmcourse"):
        return name not in plmcourse.__all__ and statement.module != "plmcourse.sequences"
    return False


def imports_inside(statement):
    """Whether a function imports from the package when it is called."""
    return any(isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plmcourse") for node in ast.walk(statement))


@functools.cache
def answers(number):
    """All answers to an exercise that can be pasted: function or class name -> {"right": [Answer], "wrong": [Answer]}."""
    source = (TESTS / "wrong_answers" / f"e{number.replace('.', '_')}.py").read_text(encoding="utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    statements = {name: statement for statement in tree.body for name in bound_names(statement)}
    found = {name: {"right": [], "wrong": []} for name in EXERCISES[number].names}
    for name in statements:
        kind, _, rest = name.partition("_")
        if kind in ("right", "wrong"):
            answer = cut_out(number, name, statements, lines)
            if answer is not None:
                found[rest.split("__")[0]][kind].append(answer)
    return found


def cut_out(number, name, statements, lines):
    """One answer with all it needs, under the exercise's name; None if it is tied to the package or to its own source."""
    target, siblings = name.split("_", 1)[1].split("__")[0], set(stubs(notebook_of(number)))
    imports, helpers, needs, renamed = [], [], set(), {name: target}
    found = closure(statements, name)
    arguments = {node.arg for used in found for node in ast.walk(statements[used]) if isinstance(node, ast.arg)}
    for used in sorted(found, key=lambda used: (statements[used].lineno, used)):
        statement = statements[used]
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            if (getattr(statement, "module", "") or "").startswith("wrong_answers"):
                return None  # a student has no such module
            own = EXERCISE_NAMES.get(used) if "plmcourse" in (getattr(statement, "module", "") or "") else None
            if own == number or own in siblings:
                needs |= {own} - {number}  # the student's own function of that name is meant
            elif leans_on_the_package(statement, used) or own or used == "inspect":
                return None
            else:
                imports.append(single_import(statement, used))
        elif imports_inside(statement) or name in STATEFUL:
            return None
        elif used != name:
            helpers.append("\n".join(lines[statement.lineno - 1:statement.end_lineno]))
            if used not in arguments:  # other exercises have helpers of the same name
                renamed[used] = f"{used.removeprefix('wrong_').removeprefix('right_')}_{number.replace('.', '_')}"
    text = open_docstring(statements[name], lines)
    helpers = "\n\n\n".join(dict.fromkeys(["\n".join(imports), *helpers] if imports else helpers))
    for old, new in renamed.items():
        helpers, text = (re.sub(rf"(?<![\w.\"']){old}(?![\w\"']|=[^=])", new, part) for part in (helpers, text))
    return Answer(name, helpers, text.replace("@DOCSTRING@", docstring(notebook_of(number), number, target)), needs)


@functools.cache
def solution(number):
    """The course's own answer, all functions of the exercise in one text."""
    notebook = json.loads((ROOT / "solutions" / f"{notebook_of(number)}.ipynb").read_text(encoding="utf-8"))
    wanted = f"solution-{number.replace('.', '-')}"
    cells = {cell["metadata"].get("nbgrader", {}).get("grade_id"): "".join(cell["source"]) for cell in notebook["cells"]}
    text = "\n".join(line for line in cells[wanted].splitlines() if not line.strip().startswith("### "))
    used = used_names(ast.parse(text)) - set(EXERCISES[number].names) - set(vars(builtins))
    needs = {EXERCISE_NAMES[name] for name in used & set(EXERCISE_NAMES)} & set(stubs(notebook_of(number)))
    return Answer("solution", "", text, needs)


# ------------------------------------------------------------------------------------------------------ expected points

def functions_of(notebook, number, texts):
    """Run the pasted cells in a fresh namespace that has the notebook's imports; the functions of the exercise."""
    namespace = {"__name__": "__main__"}
    for text in (imports_of(notebook), *texts):
        exec(compile(text, f"<{number}>", "exec"), namespace)
    return [namespace[name] for name in EXERCISES[number].names]


@functools.cache
def points_of(notebook, number, texts):
    """Points that the pasted cells (those of the exercise and of the exercises it leans on) earn in this process."""
    functions = functions_of(notebook, number, texts)
    return sum(part.points for part in engine.run(EXERCISES[number], lambda: functions) if part.passed)


def all_points(jobs, course_seed=None):
    """Points of several (notebook, number, texts); for another ``PLMCOURSE_SEED`` than ours, in a process of its own."""
    if course_seed is None or str(course_seed) == os.environ.get("PLMCOURSE_SEED", "0"):
        return [points_of(notebook, number, tuple(texts)) for notebook, number, texts in jobs]
    environment = os.environ | {"PLMCOURSE_SEED": str(course_seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command, text = [sys.executable, __file__], json.dumps(jobs)
    done = subprocess.run(command, input=text, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# -------------------------------------------------------------------------------------------------------------- drawing

def draw_class(count=40, seed=0):
    """What each student hands in, as a list of :class:`Paper`; the points are not known yet."""
    draw, papers = random.Random(seed), []
    for place in range(count):
        first = NOTEBOOKS[place % len(NOTEBOOKS)]
        others = [notebook for notebook in NOTEBOOKS if notebook != first]
        for notebook in [first] + draw.sample(others, draw.random() < 0.5):
            paper = Paper(f"student-{place:02}", notebook)
            for number in stubs(notebook):
                draw_answer(paper, number, draw)
            paper.oddities = draw.sample(sorted(ODDITIES), draw.choice([0, 1, 1, 2, 3]))
            papers.append(paper)
    if papers:
        papers[-1].oddities.append("outputs of 50 MB")
    return papers


def draw_answer(paper, number, draw):
    """Draw one exercise of a paper."""
    kind, chosen = draw.choices(list(SHARES), list(SHARES.values()))[0], []
    if kind not in ("missing", "untouched"):
        # a right answer may return an array where the next expects a tensor: only the course's own is sure to be built upon
        right = {other for other, answer in paper.answers.items() if answer == "right: solution"}
        chosen = draw_functions(number, kind, right, draw)
        kind = "untouched" if None in chosen else kind
    paper.answers[number] = kind
    if kind in ("missing", "untouched"):
        paper.code[number] = [] if kind == "missing" else [stubs(paper.notebook)[number]]
        return
    paper.answers[number] = f"{kind}: {', '.join(answer.name for answer in chosen)}"
    both = ([answer.helpers for answer in chosen], [answer.text for answer in chosen])
    helpers, text = ("\n\n\n".join(dict.fromkeys(filter(None, parts))) for parts in both)
    if kind == "syntax error":
        text = break_syntax(text, draw)
    apart = helpers and kind != "syntax error" and draw.random() < 0.5
    paper.code[number] = [helpers, text] if apart else ["\n\n\n".join(filter(None, [helpers, text]))]


def draw_functions(number, kind, right, draw):
    """Answers for all functions of an exercise, all right or one wrong; only such as lean on right answers, or None."""
    own = solution(number)
    if kind != "wrong" and own.needs <= right and draw.random() < 0.2:
        return [own]
    wrong, chosen = draw.choice(EXERCISES[number].names) if kind == "wrong" else None, []
    for name in EXERCISES[number].names:
        known = answers(number)[name]["wrong" if name == wrong else "right"]
        chosen.append(draw.choice([answer for answer in known if answer.needs <= right] or [None]))
    return chosen


def break_syntax(text, draw):
    """The text with an error in the line that begins the first function or class."""
    line = next(line for line in text.splitlines() if line.startswith(("def ", "class ")))
    if draw.random() < 0.5:
        return text.replace(line, line.rstrip(":"), 1)
    word, _, rest = line.partition(" ")
    return text.replace(line, f"{word} {word} {rest}", 1)


# ------------------------------------------------------------------------------------------------------------- oddities

def code_cell(text, **metadata):
    return {"cell_type": "code", "execution_count": None, "metadata": metadata, "outputs": [], "source": text}


def colab(notebook, draw):
    """What Google Colab makes of a notebook."""
    notebook["metadata"] |= {"colab": {"provenance": [], "toc_visible": True, "gpuType": "T4"}, "accelerator": "GPU"}
    notebook["nbformat_minor"] = 0
    for cell in notebook["cells"]:
        cell.pop("id", None)
        name = "".join(draw.choices("abcdefgHIJKLMN0123456789_-", k=12))
        cell["metadata"] |= {"id": name, "colab": {"base_uri": "https://localhost:8080/"}, "outputId": f"{name}-out"}


def vscode(notebook, draw):
    """What VS Code makes of a notebook."""
    notebook["metadata"] |= {"orig_nbformat": 4, "vscode": {"interpreter": {"hash": "0" * 64}}}
    for cell in notebook["cells"]:
        cell["metadata"]["vscode"] = {"languageId": "python"}


def older_format(notebook, draw):
    """nbformat 4.0 to 4.4, which have no cell ids; some programs write ids all the same."""
    notebook["nbformat_minor"] = draw.randrange(5)
    if draw.random() < 0.7:
        for cell in notebook["cells"]:
            cell.pop("id", None)


def plain_sources(notebook, draw):
    """Sources as one string each, where most programs write a list of lines."""
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])


def reordered(notebook, draw):
    """The cells of two exercises change places, and markdown wanders about."""
    cells = notebook["cells"]
    groups = [[i for i, cell in enumerate(cells) if cell.get("_exercise") == number] for number in stubs(notebook["_name"])]
    groups = [[group[0], *group] for group in groups if group]
    if len(groups) > 1:
        (start, *_, end), (late_start, *_, late_end) = sorted(draw.sample(groups, 2))
        between = cells[end + 1:late_start]
        cells[start:late_end + 1] = cells[late_start:late_end + 1] + between + cells[start:end + 1]
    text = draw.choice([cell for cell in cells if cell["cell_type"] == "markdown"])
    cells.remove(text)
    cells.append(text)


def duplicated(notebook, draw):
    """Cells that are there twice, ids and grade ids included."""
    cells = notebook["cells"]
    for cell in draw.sample([cell for cell in cells if cell.get("_kind") in ("answer", "check")], 2):
        last = max(i for i, other in enumerate(cells) if other.get("_exercise") == cell["_exercise"])
        cells.insert(last + 1, copy.deepcopy(cell))


def answered_below(notebook, draw):
    """The stub is still there; the answer stands in a new cell below it."""
    cells = notebook["cells"]
    for cell in [cell for cell in cells if cell.get("_kind") == "answer"]:
        stub = stubs(notebook["_name"])[cell["_exercise"]]
        if cell["source"] != stub and draw.random() < 0.6:
            place = next(i for i, other in enumerate(cells) if other is cell)
            cells.insert(place, code_cell(stub, **cell["metadata"]) | {"_exercise": cell["_exercise"], "_kind": "stub"})
            cell["metadata"] = {}


def extra_cells(notebook, draw):
    """Scratch cells, with magics, shell lines, errors and plots."""
    texts = ["%pip install --quiet umap-learn", "!ls -la", "%matplotlib inline", "files = !ls\nprint(files)", "plm?", "1 / 0",
             "%%bash\necho done", "", "# TODO ask\n\n", "import this_does_not_exist", "%%time\nsum(range(10))", "x = 3; x", "  "]
    for text in draw.sample(texts, 5):
        notebook["cells"].insert(draw.randrange(2, len(notebook["cells"])), code_cell(text))


def stray_syntax_errors(notebook, draw):
    """Cells that are no Python."""
    texts = ["for i in range(3)\n    print(i)", "the mean is 3.2", "print('hello", "x = (1, 2", "    y = 1\n  z = 2", "a ="]
    for text in draw.sample(texts, 3):
        notebook["cells"].insert(draw.randrange(2, len(notebook["cells"])), code_cell(text))


def saved_mid_run(notebook, draw):
    """Outputs of half of the cells, one of them still being written."""
    kinds = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": "iVBORw0KGgo=" * 2000, "text/plain": "<Figure>"}},
        {"output_type": "stream", "name": "stdout", "text": ["✗ 3.2 mean_pool    0 of 3 points\n", "one line\n"]},
        {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": ["\u001b[0;31mKeyboardInterrupt"]},
    ]
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for count, cell in enumerate(code[:len(code) // 2], start=1):
        cell["execution_count"], cell["outputs"] = count + draw.randrange(40), draw.sample(kinds, draw.randrange(3))


def nbgrader_lost(notebook, draw):
    """All metadata of the cells is gone, as after copying them into a new notebook."""
    for cell in notebook["cells"]:
        cell["metadata"] = {}


def checks_deleted(notebook, draw):
    """The student has deleted the check cells."""
    notebook["cells"] = [cell for cell in notebook["cells"] if cell.get("_kind") != "check"]


def magics_in_the_answer(notebook, draw):
    """Lines with % and ! above the answer."""
    for cell in notebook["cells"]:
        if cell.get("_kind") == "answer" and draw.random() < 0.5:
            above = draw.choice(["%pip install --quiet einops\n", "!ls ..\n", "%matplotlib inline\n\n"])
            cell["source"] = above + "".join(cell["source"])


ODDITIES = {
    "Colab": colab, "VS Code": vscode, "older format": older_format, "sources as strings": plain_sources,
    "reordered": reordered, "duplicated": duplicated, "answered below": answered_below, "extra cells": extra_cells,
    "stray syntax errors": stray_syntax_errors, "saved mid-run": saved_mid_run, "metadata lost": nbgrader_lost,
    "checks deleted": checks_deleted, "magics in the answer": magics_in_the_answer, "CRLF": None, "BOM": None, "ASCII": None,
}
FIRST = ["answered below", "duplicated", "reordered"]  # they look at what stands where, before the others change it


# -------------------------------------------------------------------------------------------------------------- writing

def notebook_json(paper, draw):
    """The notebook of a paper as a dict."""
    notebook = json.loads(notebook_cells(paper.notebook))
    cells, notebook["_name"] = [], paper.notebook
    for cell in notebook["cells"]:
        kind, _, number = cell["metadata"].get("nbgrader", {}).get("grade_id", "").partition("-")
        number = number.replace("-", ".")
        if kind == "solution" and number in paper.code:
            texts = paper.code[number]
            cells += [code_cell(text) | {"_exercise": number, "_kind": "helpers"} for text in texts[:-1]]
            cells += [cell | {"source": text, "_exercise": number, "_kind": "answer"} for text in texts[-1:]]
        else:
            cells.append(cell | ({"_exercise": number, "_kind": "check"} if kind == "check" else {}))
    notebook["cells"] = cells
    for name in sorted(paper.oddities, key=lambda name: (name not in FIRST, name)):
        if ODDITIES.get(name):
            ODDITIES[name](notebook, draw)
    if "outputs of 50 MB" in paper.oddities:
        text = {"output_type": "stream", "name": "stdout", "text": "all work and no play\n" * 2_400_000}
        next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["outputs"] = [text]
    for thing in [notebook, *notebook["cells"]]:
        for key in [key for key in thing if key.startswith("_")]:
            del thing[key]
    return notebook


def lines_of(source, end):
    """A cell's source as a list of lines, as most programs save it."""
    return source if isinstance(source, str) and "\n" not in source else [line.replace("\n", end) for line in "".join(
        source).splitlines(keepends=True)]


def write_paper(folder, paper, draw):
    """Write one notebook in its student's folder."""
    notebook, crlf = notebook_json(paper, draw), "CRLF" in paper.oddities
    for cell in notebook["cells"]:
        if "sources as strings" not in paper.oddities:
            cell["source"] = lines_of(cell["source"], "\r\n" if crlf else "\n")
    text = json.dumps(notebook, indent=1, ensure_ascii="ASCII" in paper.oddities) + "\n"
    data = (text.replace("\n", "\r\n") if crlf else text).encode("utf-8-sig" if "BOM" in paper.oddities else "utf-8")
    path = Path(folder) / paper.student / f"{paper.notebook}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def graded_texts(paper, number):
    """The cells that decide about an exercise: its own, after those of the exercises it may lean on."""
    right = [other for other in paper.code if other != number and paper.answers[other].startswith("right")]
    return [text for other in [*right, number] for text in paper.code[other]]


def make_class(folder, count=40, seed=0, course_seed=None):
    """Write a class's submissions, a folder for each student.

    Parameters
    ----------
    folder : Path
    count : int
        Students; each hands in one or two of the eight notebooks, and the first eight students hand in all of them.
    seed : int
        Decides what each student answers, and how the notebook looks.
    course_seed : int, optional
        The ``PLMCOURSE_SEED`` for which the points hold; that of this process when left out.

    Returns
    -------
    dict
        Student -> exercise -> points, for the exercises of the notebooks that the student hands in; all others earn 0.
    """
    papers, draw = draw_class(count, seed), random.Random(seed)
    expected, jobs, places = {}, [], []
    for paper in papers:
        write_paper(folder, paper, draw)
        points = expected.setdefault(paper.student, {})
        for number, answer in paper.answers.items():
            points[number] = 0
            if answer.startswith(("right", "wrong")):
                jobs.append((paper.notebook, number, graded_texts(paper, number)))
                places.append((points, number))
    for (points, number), earned in zip(places, all_points(jobs, course_seed)):
        points[number] = earned
    return expected


if __name__ == "__main__":
    print(json.dumps(all_points(json.load(sys.stdin))))
