"""nbgrader's gradebook: the marks that nbgrader itself would have stored, and what instructors enter stays."""

import csv
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("nbgrader")

from nbgrader.api import Gradebook, MissingEntry  # noqa: E402
from sqlalchemy.orm import Session  # noqa: E402

from plmcourse.grading.course import Course  # noqa: E402
from plmcourse.grading.gradebook import split_name, write_gradebook  # noqa: E402

NOTEBOOKS = {"03_embeddings": ["3.1", "3.2"], "04_fine_tuning": ["4.1"]}
POINTS = {"3.1": 4, "3.2": 3, "4.1": 2.5}
CHECK = {"locked": True, "schema_version": 3, "task": False, "grade": True, "solution": False}


def result(student, name, marks, missing=()):
    """A student's result; ``missing`` names notebooks that were not handed in."""
    return {
        "student": student,
        "name": name,
        "lms": {},
        "status": "graded",
        "reason": "",
        "notebooks": {
            notebook: {"file": None if notebook in missing else f"{notebook}.ipynb", "notes": []} for notebook in NOTEBOOKS
        },
        "exercises": {
            number: {
                "points": points,
                "of": POINTS[number],
                "status": "right" if points else "missing",
                "message": None,
                "properties": [],
            }
            for number, points in zip(POINTS, marks)
        },
    }


RESULTS = [
    result("alice", "Alice de Vries", (4.0, 3.0, 2.5)),
    result("bob", "Builder, Bob", (1.33, 0.0, 0.0), ["04_fine_tuning"]),
    result("carol", "carol", (0.0, 0.0, 0.0), list(NOTEBOOKS)),
    result("mallory", '=cmd|,"x', (0.0, 1.5, 0.0)),
]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A gradebook without students."""
    folder = tmp_path_factory.mktemp("empty")
    write_gradebook([], Course(folder, 0, {}, {}))
    return folder / "gradebook.db"


@pytest.fixture
def course(tmp_path, empty):
    shutil.copy(empty, tmp_path)
    return Course(tmp_path, 0, NOTEBOOKS, POINTS)


def rows(path):
    """Every row of the gradebook."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(database.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def contents(path):
    """What the gradebook says, without the random numbers by which its tables refer to each other."""
    with Gradebook(f"sqlite:///{path}") as book:
        return {
            (there.student.id, there.name, grade.name): (
                grade.auto_score,
                grade.manual_score,
                grade.needs_manual_grade,
                grade.max_score,
            )
            for assignment in book.assignments
            for there in book.assignment_submissions(assignment.name)
            for notebook in there.notebooks
            for grade in notebook.grades
        }


def test_marks_are_there(course):
    write_gradebook(RESULTS, course)
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as book:
        assert {assignment.name: assignment.max_score for assignment in book.assignments} == {
            "03_embeddings": 7,
            "04_fine_tuning": 2.5,
        }
        assert {student.id: student.score for student in book.students} == {"alice": 9.5, "bob": 1.33, "carol": 0, "mallory": 1.5}
        assert not book.find_submission("03_embeddings", "alice").needs_manual_grade
        with pytest.raises(MissingEntry):
            book.find_submission("04_fine_tuning", "bob")
        comments = [book.find_comment(f"solution-3-{part}", "03_embeddings", "03_embeddings", "bob").comment for part in (1, 2)]
        assert comments == [None, "No response."]
        assert (book.find_student("bob").first_name, book.find_student("bob").last_name) == ("Bob", "Builder")


def test_written_twice_every_row_is_the_same(course):
    write_gradebook(RESULTS, course)
    before = rows(course.folder / "gradebook.db")
    write_gradebook(RESULTS, course)
    assert rows(course.folder / "gradebook.db") == before and len(before["grade"]) == 8
    assert sorted(path.name for path in course.folder.iterdir()) == ["gradebook.db"]


def test_a_changed_mark_is_updated_and_a_vanished_notebook_counts_nothing(course):
    write_gradebook(RESULTS, course)
    write_gradebook([result("alice", "Alice", (4.0, 1.0, 0.0), ["04_fine_tuning"])], course)
    found = contents(course.folder / "gradebook.db")
    assert [
        found["alice", name, cell][0]
        for name, cell in [("03_embeddings", "check-3-1"), ("03_embeddings", "check-3-2"), ("04_fine_tuning", "check-4-1")]
    ] == [4, 1, 0]
    assert found["bob", "03_embeddings", "check-3-1"] == (1.33, None, False, 4)


def test_what_an_instructor_entered_stays(course):
    write_gradebook(RESULTS, course)
    where = "03_embeddings", "03_embeddings", "bob"
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as book:
        for cell in ("check-3-1", "check-3-2"):
            book.find_grade(cell, *where).manual_score = 2
            book.find_grade(cell, *where).needs_manual_grade = False
        book.find_comment("solution-3-2", *where).manual_comment = "See me."
        book.find_student("bob").first_name = "Robert"
        book.db.commit()
    write_gradebook([result("bob", "Bob", (3.0, 0.0, 0.0), ["04_fine_tuning"])], course)
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as book:
        assert book.find_comment("solution-3-2", *where).comment == "See me."
        assert book.find_student("bob").first_name == "Robert"
        first, second = (book.find_grade(cell, *where) for cell in ("check-3-1", "check-3-2"))
        assert (first.score, first.auto_score, first.needs_manual_grade) == (2, 3, True), "the mark below has changed: look again"
        assert (second.score, second.auto_score, second.needs_manual_grade) == (2, 0, False)


def test_exercises_that_changed_since_are_refused(course):
    write_gradebook(RESULTS, course)
    more = Course(course.folder, 0, {"03_embeddings": ["3.1", "3.2", "3.3"]}, POINTS | {"3.3": 1})
    with pytest.raises(ValueError, match="submission of alice for 03_embeddings has no check-3-3"):
        write_gradebook(RESULTS, more)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Lovelace, Ada King", ("Ada King", "Lovelace")),
        ("Alice B. Carol", ("Alice B.", "Carol")),
        ("ada", ("", "ada")),
        ("", ("", "")),
        ('=1,"b",c', ("b c", "'=1")),
        ("a\nb\x00", ("a", "b")),
    ],
)
def test_names_are_split(name, parts):
    assert split_name(name) == parts


def test_nbgrader_exports_our_marks(course):
    write_gradebook(RESULTS, course)
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "export", "--to", "out.csv"], cwd=course.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (course.folder / "out.csv").open(encoding="utf-8", newline="") as file:
        marks = {
            (row["assignment"], row["student_id"]): (row["score"], row["max_score"], row["last_name"])
            for row in csv.DictReader(file)
        }
    assert marks["03_embeddings", "alice"] == ("7.0", "7.0", "Vries") and marks["04_fine_tuning", "alice"][0] == "2.5"
    assert marks["03_embeddings", "bob"] == ("1.33", "7.0", "Builder")
    assert marks["03_embeddings", "mallory"] == ("1.5", "7.0", "'=cmd|"), "a name neither breaks the row nor begins a formula"


def notebook(answer):
    """A notebook with two exercises whose checks give points as nbgrader counts them."""
    cells = []
    for part, worth in ((1, 4), (2, 3)):
        solution = nbformat.v4.new_code_cell(
            answer,
            metadata={"nbgrader": CHECK | {"grade": False, "solution": True, "locked": False, "grade_id": f"solution-3-{part}"}},
        )
        check = nbformat.v4.new_code_cell(
            f"assert mark\nmark * {worth}", metadata={"nbgrader": CHECK | {"points": worth, "grade_id": f"check-3-{part}"}}
        )
        cells += [solution, check]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def test_nbgrader_would_have_stored_the_same(tmp_path):
    course = Course(tmp_path, 0, {"03_embeddings": ["3.1", "3.2"]}, POINTS)
    answers = {
        "source": "### BEGIN SOLUTION\nmark = 1\n### END SOLUTION",
        "submitted/bob": "mark = 0.5",
        "submitted/carol": "mark = 0",
    }
    for folder, answer in answers.items():
        (tmp_path / folder / "03_embeddings").mkdir(parents=True)
        nbformat.write(notebook(answer), tmp_path / folder / "03_embeddings" / "03_embeddings.ipynb")
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in ("generate_assignment", "autograde"):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", command, "03_embeddings"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": beside_python},
        )
        assert done.returncode == 0, done.stderr
    before = rows(tmp_path / "gradebook.db")
    marks = {"bob": (2.0, 1.5), "carol": (0.0, 0.0)}
    results = [result(student, "", points) for student, points in marks.items()]
    for paper in results:
        for exercise in paper["exercises"].values():
            exercise["status"] = "wrong"  # carol did answer
    write_gradebook(results, course)
    assert rows(tmp_path / "gradebook.db") == before and len(before["grade"]) == 4


def test_stopped_at_any_commit_and_run_again_it_is_the_same(course, empty, monkeypatch):
    class Stopped(BaseException):
        """As a kill, nothing in the code under test catches it."""

    write_gradebook(RESULTS[:2], course)
    whole, commit, counts = contents(course.folder / "gradebook.db"), Session.commit, count()
    for last in range(100):
        path = course.folder / f"stopped-{last}.db"
        shutil.copy(empty, path)

        def stop(session, last=last):
            if next(counts) == last:
                raise Stopped
            commit(session)

        counts = count()
        monkeypatch.setattr(Session, "commit", stop)
        try:
            write_gradebook(RESULTS[:2], course, path)
            break
        except Stopped:
            monkeypatch.setattr(Session, "commit", commit)
        write_gradebook(RESULTS[:2], course, path)
        assert contents(path) == whole, f"stopped at commit {last}"
    assert last > 15, "there are that many commits at which it can be stopped"


def test_half_a_new_gradebook_is_no_gradebook(tmp_path):
    (tmp_path / ".gradebook.db.new").write_text("half")
    write_gradebook([], Course(tmp_path, 0, NOTEBOOKS, POINTS))
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        assert [assignment.name for assignment in book.assignments] == list(NOTEBOOKS)
    assert rows(tmp_path / "gradebook.db")["alembic_version"], "nbgrader can upgrade it"
