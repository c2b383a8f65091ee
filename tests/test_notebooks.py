"""Every notebook runs. Each is executed twice: as students get it, and solved (by nbval, cell by cell)."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from build_notebooks import stray_stderr
from run_notebooks import PeakMemory, execute

from plmcourse import checks

SOLUTIONS = sorted((Path(__file__).resolve().parents[1] / "solutions").glob("*.ipynb"))
MEMORY = 3e9  # bytes that a notebook may take
SCORES = """
import json, pathlib
from plmcourse import checks
pathlib.Path({path!r}).write_text(json.dumps(checks.scores()))
"""


def exercises(notebook):
    """Numbers of the exercises that a notebook checks."""
    return {number for cell in notebook.cells if cell.cell_type == "code"
            for number in re.findall(r'pc\.check\(\s*"(\d+\.\d+)"', cell.source)}


def with_scores(path, scores):
    """A notebook with one more cell, which writes the points earned to the file ``scores``."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(SCORES.format(path=str(scores)), id="scores"))
    return notebook


def read_scores(path, notebook):
    """Points per exercise of this notebook, after it ran."""
    earned = json.loads(path.read_text(encoding="utf-8"))
    return {number: earned[number] for number in sorted(exercises(notebook))}


@pytest.fixture(scope="module", params=SOLUTIONS, ids=lambda path: path.stem)
def untouched(request, root, tmp_path_factory):
    """A student notebook executed as it is: (notebook, seconds, bytes, scores)."""
    scores = tmp_path_factory.mktemp("untouched") / "scores.json"
    notebook = with_scores(root / "notebooks" / request.param.name, scores)
    seconds, peak = execute(notebook)
    return notebook, seconds, peak, read_scores(scores, notebook)


class TestUntouchedStudentNotebook:  # a class of its own, so that xdist's loadscope runs it beside nbval
    def test_runs_to_its_end_and_scores_nothing(self, untouched):
        notebook, _, _, scores = untouched
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
        assert all(cell.execution_count for cell in code)
        assert scores and not any(scores.values()), scores

    def test_says_what_is_not_implemented(self, untouched):
        notebook, _, _, scores = untouched
        printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
        for number in scores:
            assert f"○ {number} " in printed, f"nothing says that {number} is not implemented yet"

    def test_warns_of_nothing(self, untouched):
        notebook = untouched[0]
        stray = [line for cell in notebook.cells if cell.cell_type == "code" for line in stray_stderr(cell)]
        assert not stray, stray

    def test_stays_within_its_memory(self, untouched):
        _, seconds, peak, _ = untouched
        print(f"{seconds:.0f} s, {peak / 2**20:.0f} MB")
        assert peak < MEMORY


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solution_passes_nbval_with_full_marks_within_its_memory(path, tmp_path):
    scores, copy = tmp_path / "scores.json", tmp_path / path.name
    notebook = with_scores(path, scores)
    nbformat.write(notebook, copy)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
               "--nbval-cell-timeout=300", str(copy)]
    with PeakMemory() as memory:
        run = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    print(f"{run.stdout.splitlines()[-1]}; {memory.peak / 2**20:.0f} MB, the test runner included")
    assert memory.peak < MEMORY
    assert read_scores(scores, notebook) == {number: checks.points(number) for number in exercises(notebook)}


def test_each_notebook_checks_all_its_exercises():
    for path in SOLUTIONS:
        chapter = f"{int(path.stem[:2])}."
        expected = {number for number in checks.EXERCISES if number.startswith(chapter)}
        assert exercises(nbformat.read(path, as_version=4)) == expected
