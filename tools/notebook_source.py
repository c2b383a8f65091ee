"""Read a notebook's source, solutions/NAME.py (jupytext py:percent), and make the student's notebook of it.

Marks in code cells: ``### BEGIN SOLUTION`` … ``### END SOLUTION`` (a stub takes its place) and
``### BEGIN HIDDEN TESTS`` … ``### END HIDDEN TESTS`` (removed). The cell tag ``solution`` removes a whole cell, code or
markdown.
"""
import copy
import hashlib
import re
import tomllib
from pathlib import Path

import jupytext
import nbformat
from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions

ROOT = Path(__file__).resolve().parents[1]
STUB = 'raise NotImplementedError("write your answer here")'
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python",
                      "pygments_lexer": "ipython3"},
}
MARK = re.compile(r"\s*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\s*$")
LIKE_A_MARK = re.compile(r"\b(begin|end)[ _-]*(solution|hidden[ _-]*test)|^\s*###\s*(begin|end)\b", re.I)
CHECK = re.compile(r"""\bpc\.check\(\s*["'](\d+\.\d+)["']""")
EXERCISE = re.compile(r"^#+ Exercise (\d+\.\d+)\b", re.M)


class BuildError(ValueError):
    """The source cannot be built; the message is one sentence naming file, cell and line."""


def read_source(path):
    """The source's cells, and the line (from 1) on which each begins."""
    lines = path.read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.startswith("# %%")]
    cells = jupytext.read(path, fmt="py:percent").cells
    if len(starts) != len(cells):
        raise BuildError(f"{path.name}, line {[*starts, 1][0]}: {len(starts)} lines begin with '# %%' but there are "
                         f"{len(cells)} cells; each cell, also the first, begins with '# %%', and nothing else does.")
    for cell, start, end in zip(cells, starts, [*starts[1:], len(lines) + 1]):
        check_marks(cell.cell_type, dict(zip(range(start, end), lines[start - 1:end - 1])),
                    f"{path.name}, cell {starts.index(start) + 1}")
    return cells, starts


def check_marks(cell_type, lines, where):
    """Refuse marks that are malformed, nested, unclosed, mixed, or outside code; ``lines`` maps number to text."""
    opened = None
    for number, line in lines.items():
        if not LIKE_A_MARK.search(line):
            continue
        place, mark = f"{where}, line {number}: ", MARK.match(line)
        if cell_type != "code":
            raise BuildError(place + "a solution or hidden-tests mark in a cell that is not code.")
        if not mark:
            raise BuildError(place + f"{line.strip()!r} is not a mark; write it alone on its line, as "
                             "'### BEGIN SOLUTION'.")
        opened = follow(mark, opened, number, line, place)
    if opened:
        raise BuildError(f"{where}, line {opened[1]}: BEGIN {opened[0]} is never closed.")


def follow(mark, opened, number, line, where):
    """The (kind, line number) that is open after a mark, or None."""
    verb, kind = mark.groups()
    if verb == "BEGIN" and opened and opened[0] == kind:
        raise BuildError(where + f"BEGIN {kind} is nested in the one of line {opened[1]}.")
    if opened and opened[0] != kind:
        raise BuildError(where + f"{verb} {kind} stands inside {opened[0]}, opened on line {opened[1]}.")
    if verb == "END" and not opened:
        raise BuildError(where + f"END {kind} without a BEGIN.")
    if verb == "BEGIN" and kind == "SOLUTION" and not line[0].isspace():
        raise BuildError(where + "BEGIN SOLUTION at the left margin; its stub would stop the student's notebook, so "
                         "put the mark inside a function.")
    return (kind, number) if verb == "BEGIN" else None


def add_nbgrader(cells, where, points):
    """Give cells with a solution or a check their nbgrader metadata; ``points`` maps an exercise to its points."""
    exercise, used, checked = None, set(), set()
    for cell, place in zip(cells, where):
        if cell.cell_type == "markdown":
            exercise = ([exercise] + EXERCISE.findall(cell.source))[-1]
        if cell.cell_type != "code" or "solution" in cell.metadata.get("tags", []):
            continue
        solution, hidden = "### BEGIN SOLUTION" in cell.source, "### BEGIN HIDDEN TESTS" in cell.source
        checks = CHECK.findall(cell.source)
        if not (solution or hidden or checks):
            continue
        problem = (
            "hidden tests in a cell without a check." if hidden and not checks else
            "a solution and its check in one cell; a check needs a cell of its own." if solution and checks else
            "more than one check in a cell." if len(checks) > 1 else
            "a solution or check before any 'Exercise N.M' heading." if exercise is None else
            f"check {checks[0]} under the heading of exercise {exercise}." if checks and checks[0] != exercise else
            f"exercise {exercise} is checked twice." if checked.intersection(checks) else None)
        if problem:
            raise BuildError(f"{place}: {problem}")
        checked.update(checks)
        name = first_free(("solution-" if solution else "check-") + exercise.replace(".", "-"), used)
        cell.metadata["nbgrader"] = {"schema_version": 3, "grade_id": name, "solution": solution,
                                     "grade": bool(checks), "locked": bool(checks), "task": False}
        if checks:
            cell.metadata["nbgrader"]["points"] = points(exercise)


def first_free(name, used):
    """``name``, or name-2, name-3 … when taken; remembers what it gave out."""
    free, number = name, 2
    while free in used:
        free, number = f"{name}-{number}", number + 1
    used.add(free)
    return free


def add_ids(cells, notebook):
    """Ids that stay when other cells change: from the grade id, the heading, or else the cell's own text."""
    used = set()
    for cell in cells:
        heading = re.match(r"#+ .+", cell.source) if cell.cell_type == "markdown" else None
        text = f"{notebook}\n{cell.cell_type}\n{heading.group() if heading else cell.source}"
        name = cell.metadata.get("nbgrader", {}).get("grade_id") or hashlib.sha256(text.encode()).hexdigest()[:12]
        cell.id = first_free(name, used)


def address():
    """Repository, tag and wheel address from pyproject.toml, the only place that states them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["plmcourse"]
    version = re.search(r'__version__ = "(.+?)"', (ROOT / "plmcourse/__init__.py").read_text(encoding="utf-8")).group(1)
    page = f"https://github.com/{project['repository']}"
    wheel = f"plmcourse @ {page}/releases/download/{project['tag']}/plmcourse-{version}-py3-none-any.whl"
    return project["repository"], project["tag"], wheel


def add_badge(cell, name):
    """Put the Colab badge under the title."""
    repository, tag, _ = address()
    title, _, rest = cell.source.partition("\n")
    target = f"https://colab.research.google.com/github/{repository}/blob/{tag}/notebooks/{name}.ipynb"
    badge = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({target})"
    cell.source = f"{title}\n\n{badge}\n{rest}".rstrip("\n")


def exercise_points(exercise):
    """Points of an exercise, asked of the checks themselves."""
    from plmcourse import checks  # here, so that a source without exercises builds without the package

    return checks.points(exercise)


def build_master(path, points=exercise_points):
    """The whole notebook, solutions included, without outputs.

    Parameters
    ----------
    path : Path
        The source, solutions/NAME.py.
    points : callable
        Maps an exercise, "3.2", to its points.

    Returns
    -------
    NotebookNode
    """
    cells, starts = read_source(path)
    where = [f"{path.name}, cell {number}, line {line}" for number, line in enumerate(starts, 1)]
    for cell, place in zip(cells, where):
        cell.metadata = {key: value for key, value in cell.metadata.items() if not key.startswith("lines_to_")}
        wrong = [tag for tag in cell.metadata.get("tags", []) if "solution" in tag.lower() and tag != "solution"]
        if wrong:
            raise BuildError(f"{place}: tag {wrong[0]!r} is unknown; the tag that hides a cell is 'solution'.")
    if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
        raise BuildError(f"{path.name}, cell 1, line {[*starts, 1][0]}: the first cell must be markdown that begins "
                         "with the title, '# …'.")
    add_nbgrader(cells, where, points)
    add_ids(cells, path.stem)
    add_badge(cells[0], path.stem)
    for cell in cells:
        cell.source = cell.source.replace("{{install}}", address()[2])
    return nbformat.from_dict({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5})


def build_student(master):
    """The student's notebook: solution cells and hidden tests gone, a stub where each solution was."""
    notebook = copy.deepcopy(master)
    notebook.cells = [cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = ClearSolutions(code_stub={"python": STUB}).preprocess_cell(
                cell, {"language": "python"}, 0)[0].source
        cell.source = ClearHiddenTests().preprocess_cell(cell, {}, 0)[0].source.rstrip("\n")
    return notebook
