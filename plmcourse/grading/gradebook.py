"""Marks in nbgrader's gradebook, as ``nbgrader autograde`` would have stored them, for formgrader and ``nbgrader export``."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from sqlalchemy.engine import URL

from plmcourse.grading.report import clean, guard

LONGEST_NAME = 128  # of nbgrader's columns
UNANSWERED = "No response."  # nbgrader's own words


def write_gradebook(results, course, path=None):
    """Write the marks of all students; written twice, or stopped in the middle and written again, they are the same.

    What an instructor entered in formgrader stays: manual scores, comments, names, extensions. A manual score whose automatic
    mark has changed since is flagged for another look.

    Parameters
    ----------
    results : list of dict
        One per student.
    course : Course
    path : path, optional
        ``course.folder / "gradebook.db"`` when left out. One that is not there is made; that shows marks, but for ``nbgrader
        autograde`` it lacks the sources, which ``plmcourse release`` records.

    Raises
    ------
    ValueError
        For a gradebook whose submissions do not have the cells of the course.
    """
    path = Path(path or course.folder / "gradebook.db").resolve()
    if not path.exists():
        _create(path)
    with Gradebook(_address(path)) as gradebook:
        for notebook, numbers in course.notebooks.items():
            _write_cells(gradebook, notebook, {number: course.points[number] for number in numbers})
        for result in results:
            _write_student(gradebook, result["student"], result["name"])
            for notebook, numbers in course.notebooks.items():
                _write_marks(gradebook, result, notebook, numbers)


def _address(path):
    return URL.create("sqlite", database=str(path))  # as text, a path with a question mark would end there


def _create(path):
    """Make an empty gradebook elsewhere and move it here: nbgrader makes it in steps, and cannot mend one that lacks a step."""
    unfinished = path.with_name(f".{path.name}.new")
    beside_python = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    )  # nbgrader calls alembic by name
    make = "from nbgrader.api import Gradebook; Gradebook('sqlite:///gradebook.db').close()"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", make], cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": beside_python}
        )
        if done.returncode:
            raise OSError(f"nbgrader cannot make the gradebook {path}: {done.stderr.strip().splitlines()[-1]}")
        shutil.copy(Path(folder) / "gradebook.db", unfinished)
    os.replace(unfinished, path)


def _write_cells(gradebook, notebook, points):
    """The assignment, its notebook of the same name, and for each exercise a cell with the answer and one with the check."""
    gradebook.update_or_create_assignment(notebook)
    gradebook.update_or_create_notebook(notebook, notebook)
    for number, worth in points.items():
        gradebook.update_or_create_solution_cell(_cell("solution", number), notebook, notebook)
        gradebook.update_or_create_grade_cell(
            _cell("check", number), notebook, notebook, max_score=float(worth), cell_type="code"
        )


def _cell(kind, number):
    return f"{kind}-{number.replace('.', '-')}"


def _write_student(gradebook, student, name):
    """The student; names are filled in only where the gradebook has none."""
    names = {column: part for column, part in zip(("first_name", "last_name"), split_name(name)) if part}
    try:
        known = gradebook.find_student(student)
    except MissingEntry:
        gradebook.add_student(student, **names)
    else:
        if not known.first_name and not known.last_name:
            gradebook.update_or_create_student(student, **names)


def split_name(name):
    """First and last name: ("Ada", "Lovelace") of "Ada Lovelace" and of "Lovelace, Ada"; a single word is a last name."""
    name = clean(name, longest=LONGEST_NAME)
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.rpartition(" ")
    # nbgrader export writes names between commas without quoting them
    return tuple(guard(" ".join(part.replace(",", " ").replace('"', " ").split())) for part in (first, last))


def _write_marks(gradebook, result, notebook, numbers):
    """The marks of one student for one notebook, in one transaction; nothing for a notebook that was never handed in."""
    student = result["student"]
    handed_in = result["notebooks"].get(notebook, {}).get("file") is not None
    try:
        submission = gradebook.find_submission(notebook, student)
    except MissingEntry:
        if not handed_in:
            return
        with gradebook.db.no_autoflush:  # or SQLAlchemy warns of each half-made row
            submission = gradebook.add_submission(notebook, student)
    [there] = submission.notebooks
    grades = {grade.name: grade for grade in there.grades}
    comments = {comment.name: comment for comment in there.comments}
    for number in numbers:
        exercise = result["exercises"].get(number, {"points": 0.0, "status": "missing"})
        check, solution = _cell("check", number), _cell("solution", number)
        if check not in grades or solution not in comments:
            raise ValueError(
                f"the gradebook's submission of {student} for {notebook} has no {check} with its {solution}: the exercises of "
                "the notebook have changed since it was written; move the gradebook away to have it written anew."
            )
        _mark(grades[check], float(exercise["points"]))
        comments[solution].auto_comment = UNANSWERED if exercise["status"] == "missing" else None
    gradebook.db.commit()


def _mark(grade, points):
    if grade.manual_score is None:
        grade.needs_manual_grade = False
    elif grade.auto_score != points:
        grade.needs_manual_grade = True
    grade.auto_score = points
