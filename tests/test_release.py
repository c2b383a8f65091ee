"""Course directories: what release writes, what students get of it, and that nbgrader and formgrader work with it."""
import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from notebook_source import STUB, build_master, build_student

from plmcourse import checks
from plmcourse.grading.course import Course, read_course, write_course
from plmcourse.grading.release import read_earlier, release

ROOT = Path(__file__).resolve().parents[1]
NAME, OTHER, SEED = "03_embeddings", "04_zero_shot_mutations", 471100815
KEPT = ("3.2", "3.4")
ANSWER = "is_residue = ((tokens >= 4)"  # a line of a solution
QUIZ = "An answer that only instructors see."
WORTH = {"3.2": 5}
ONE_PROTEIN_ONLY = "def mean_pool(hidden, tokens):\n    return hidden.float()[:, 1:-1].mean(dim=1)"


def cut(text, numbers, title):
    """A notebook's source cut to its first code cell and some exercises: a whole one takes minutes, and checks need no more."""
    code = [cell.strip() for cell in re.split(r"^# %%", text, flags=re.M) if "[markdown]" not in cell.partition("\n")[0]]
    kept = [f"# %% [markdown]\n# # {title}", f"# %%\n{code[1]}"]  # code[0] is the header
    for number in numbers:
        check = next(place for place, cell in enumerate(code) if f'pc.check("{number}"' in cell)
        kept += [f"# %% [markdown]\n# ### Exercise {number}", f"# %%\n{code[check - 1]}", f"# %%\n{code[check]}"]
    return "\n\n".join([*kept, f'# %% [markdown] tags=["solution"]\n# {QUIZ}\n'])


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What release needs of the repository, with two notebooks cut to a few exercises."""
    folder = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in ("solutions", "plmcourse"):
        (folder / path).mkdir()
    shutil.copy(ROOT / "plmcourse/__init__.py", folder / "plmcourse")
    for name, numbers in {NAME: KEPT, OTHER: ["4.3"]}.items():
        text = (ROOT / "solutions" / f"{name}.py").read_text(encoding="utf-8")
        (folder / "solutions" / f"{name}.py").write_text(cut(text, numbers, name), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def course(clone, tmp_path_factory):
    return release(tmp_path_factory.mktemp("course") / "a course", ["3"], WORTH, SEED, clone)


def read(folder, step, name=NAME):
    return nbformat.read(folder / step / name / f"{name}.ipynb", as_version=4)


def nbgrader(folder, *arguments):
    """What nbgrader prints; it must not fail."""
    done = subprocess.run([sys.executable, "-m", "nbgrader", *arguments], cwd=folder, text=True, capture_output=True,
                          env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])})
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the settings ---

def test_settings_survive_being_written(tmp_path):
    written = Course(tmp_path, 7, {NAME: ["3.1", "3.2"]}, {"3.1": 4, "3.2": 2.5}, {NAME: "abc"})
    write_course(written)
    assert read_course(tmp_path) == written
    assert [path.name for path in tmp_path.iterdir()] == ["plmcourse.json"]


GOOD = {"seed": 7, "notebooks": {NAME: ["3.1"]}, "points": {"3.1": 4}}


@pytest.mark.parametrize("text, sentence", [
    (None, "is not a course directory"), ("{", "plmcourse.json is not JSON"), ("[]", "must hold an object with seed"),
    ({"seed": 1}, "must hold an object with seed"), (GOOD | {"seed": True}, "the seed is True"),
    (GOOD | {"seed": -1}, "the seed is -1"),
    (GOOD | {"seed": 2**32}, "the seed is 4294967296"), (GOOD | {"notebooks": ["3.1"]}, "must map each notebook"),
    (GOOD | {"notebooks": {NAME: "3.1"}}, "must map each notebook"),
    (GOOD | {"notebooks": {NAME: ["3"]}}, "must map each notebook"),
    (GOOD | {"points": [4]}, "must be objects"), (GOOD | {"points": {}}, "exercise 3.1 has no points"),
    (GOOD | {"points": {"3.1": float("nan")}}, "cannot be worth nan"), (GOOD | {"points": {"3.1": "4"}}, "cannot be worth '4'"),
])
def test_odd_settings_are_refused(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "plmcourse.json").write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(ValueError, match=re.escape(sentence)) as raised:
        read_course(tmp_path)
    assert str(tmp_path) in str(raised.value)


# --- what is written ---

def test_the_course_is_what_was_asked_for(course):
    assert course == read_course(course.folder)
    assert (course.seed, course.notebooks) == (SEED, {NAME: ["3.2", "3.4"]})
    assert course.points == {"3.2": 5, "3.4": checks.points("3.4")}
    files = {path.relative_to(course.folder).as_posix() for path in course.folder.rglob("*") if path.is_file()}
    assert files == {"nbgrader_config.py", "plmcourse.json", "gradebook.db", "students.zip",
                     f"source/{NAME}/{NAME}.ipynb", f"release/{NAME}/{NAME}.ipynb"}


def points_in(folder, step):
    return {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in read(folder, step).cells
            if cell.metadata.get("nbgrader", {}).get("grade")}


@pytest.mark.parametrize("step", ["source", "release"])
def test_points_are_in_the_metadata_of_the_checks(course, step):
    assert points_in(course.folder, step) == {"check-3-2": 5, "check-3-4": 2}


def test_release_is_the_notebook_that_the_build_makes(course, clone):
    built = build_student(build_master(clone / "solutions" / f"{NAME}.py"))
    released = read(course.folder, "release")
    assert [(cell.id, cell.cell_type, cell.source) for cell in released.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in built.cells]
    assert not nbformat.validate(released)
    locked = [cell for cell in released.cells if cell.metadata.get("nbgrader", {}).get("locked")]
    assert len(locked) == 2 and all(cell.metadata.editable is False and cell.metadata.nbgrader.checksum for cell in locked)


def test_students_get_no_solution_and_no_seed(course):
    with zipfile.ZipFile(course.folder / "students.zip") as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(files) == {"README.txt", f"{NAME}.ipynb"}
    assert files[f"{NAME}.ipynb"] == (course.folder / "release" / NAME / f"{NAME}.ipynb").read_text()
    assert "3.2, 3.4; 7 points" in files["README.txt"] and "pip install" in files["README.txt"]
    assert files[f"{NAME}.ipynb"].count(json.dumps(STUB)[1:-1]) == 2
    source = (course.folder / "source" / NAME / f"{NAME}.ipynb").read_text()
    for secret in (ANSWER, QUIZ, "SOLUTION", "HIDDEN TESTS", "PLMCOURSE_GRADING"):
        assert secret in source and not [name for name, text in files.items() if secret in text], secret
    told = [path.name for path in course.folder.rglob("*") if path.is_file() and str(SEED).encode() in path.read_bytes()]
    assert told == ["plmcourse.json"] and not [name for name, text in files.items() if str(SEED) in text]


# --- released again ---

@pytest.fixture
def used(course, tmp_path):
    """A copy of the course with traces of a term."""
    folder = shutil.copytree(course.folder, tmp_path / "used")
    for path in ("submitted/alice", "autograded/alice", "feedback/alice"):
        (folder / path).mkdir(parents=True)
        (folder / path / "kept.txt").write_text("mine")
    with (folder / "nbgrader_config.py").open("a") as config:
        config.write("c.CourseDirectory.course_id = 'bio'\n")
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        gradebook.add_student("alice")
        gradebook.add_submission(NAME, "alice")
        gradebook.find_grade("check-3-2", NAME, NAME, "alice").auto_score = 4
        gradebook.db.commit()
    return folder


def test_a_second_release_adds_and_keeps(used, clone):
    zipped = (used / "students.zip").read_bytes()
    again = release(used, source=clone)
    assert (again.seed, again.notebooks, again.points) == (SEED, {NAME: ["3.2", "3.4"]}, {"3.2": 5, "3.4": 2})
    assert (used / "students.zip").read_bytes() == zipped
    more = release(used, [OTHER], {"4.3": 1.5}, source=clone)
    assert (more.seed, more.points) == (SEED, {"3.2": 5, "3.4": 2, "4.3": 1.5})
    assert list(more.notebooks) == [NAME, OTHER] == sorted(path.name for path in (used / "release").iterdir())
    assert zipfile.ZipFile(used / "students.zip").namelist() == [f"{NAME}.ipynb", f"{OTHER}.ipynb", "README.txt"]
    assert [(used / step / "alice/kept.txt").read_text() for step in ("submitted", "autograded", "feedback")] == ["mine"] * 3
    assert "course_id = 'bio'" in (used / "nbgrader_config.py").read_text()
    with Gradebook(f"sqlite:///{used / 'gradebook.db'}") as gradebook:
        assert gradebook.find_grade("check-3-2", NAME, NAME, "alice").auto_score == 4
        assert {assignment.name: assignment.max_score for assignment in gradebook.assignments} == {NAME: 7, OTHER: 1.5}


def test_a_new_seed_and_new_points_replace_the_old_ones(used, clone):
    again = release(used, ["3"], {"3.4": 0.25}, 12, clone)
    assert (read_course(used).seed, again.points) == (12, {"3.2": 5, "3.4": 0.25})
    with Gradebook(f"sqlite:///{used / 'gradebook.db'}") as gradebook:
        assert gradebook.find_assignment(NAME).max_score == 5.25


def test_a_source_that_an_instructor_changed_is_kept(used, clone):
    path = used / "source" / NAME / f"{NAME}.ipynb"
    notebook = read(used, "source")
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="run")]
    nbformat.write(notebook, path)
    release(used, source=clone)  # to run it is not to change it
    notebook.cells[1].source += "\n# an exercise of mine"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="was changed after plmcourse release wrote it"):
        release(used, seed=3, source=clone)
    assert (path.read_bytes(), read_course(used).seed) == (before, SEED)


def test_an_interrupted_release_is_finished_by_the_next_one(course, clone, tmp_path, monkeypatch):
    folder = shutil.copytree(course.folder, tmp_path / "course")

    def interrupt(*_):
        raise KeyboardInterrupt

    writes = iter([write_course, interrupt])
    moments = {"nbformat.writes": interrupt,  # before the source is written, between it and its digest, after both
               "plmcourse.grading.release.write_course": lambda course: next(writes)(course),
               "plmcourse.grading.release.generate": interrupt}
    for number, (name, stand_in) in enumerate(moments.items()):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(name, stand_in)
            release(folder, ["3"] if number == 0 else None, {"3.4": 1.5} if number == 0 else None, source=clone)
    assert release(folder, source=clone).points == {"3.2": 5, "3.4": 1.5}
    assert points_in(folder, "release") == {"check-3-2": 5, "check-3-4": 1.5}


# --- what is refused ---

@pytest.mark.parametrize("options, sentence", [
    ({"notebooks": ["9"]}, "there is no notebook '9'; there are: 03_embeddings, 04_zero_shot_mutations"),
    ({"seed": -1}, "the seed is -1"),
    ({"points": {"3.2": -1}}, "exercise 3.2 cannot be worth -1"),
    ({"points": {"3.2": 1.005}}, "exercise 3.2 cannot be worth 1.005"),
    ({"notebooks": ["4"], "points": {"3.2": 1}}, "points for 3.2: no notebook that is released now has it; they have: 4.3"),
])
def test_what_makes_no_sense_is_refused_before_anything_is_written(clone, tmp_path, options, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        release(tmp_path / "out", source=clone, **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_is_refused(clone, tmp_path):
    (tmp_path / "submitted").mkdir()
    with pytest.raises(ValueError, match="holds submitted and is no course directory"):
        release(tmp_path, source=clone)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file is a file"):
        release(tmp_path / "file", source=clone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "submitted"]


def test_an_installation_without_solutions_says_so(tmp_path):
    with pytest.raises(ValueError, match="clone the repository"):
        release(tmp_path / "out", source=tmp_path)


def test_seeds_are_drawn_at_random(tmp_path):
    seeds = {read_earlier(tmp_path, None).seed for _ in range(20)}
    assert len(seeds) == 20 and min(seeds) > 0  # 0 is what students see


# --- nbgrader works with it ---

def hand_in(folder, student, answers):
    """Write a submission: the released notebook with the answers given, from grade id to source."""
    notebook = copy.deepcopy(read(folder, "release"))
    for cell in notebook.cells:
        cell.source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"), cell.source)
    path = folder / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def graded(course, tmp_path_factory):
    """The course after autograde and generate_feedback, with one who solved all, one who did nothing, one in between."""
    folder = shutil.copytree(course.folder, tmp_path_factory.mktemp("graded") / "course")
    solutions = {cell.metadata.nbgrader.grade_id: cell.source for cell in read(folder, "source").cells
                 if cell.metadata.get("nbgrader", {}).get("solution")}
    hand_in(folder, "solved", solutions)
    hand_in(folder, "stub", {})
    hand_in(folder, "partly", solutions | {"solution-3-2": ONE_PROTEIN_ONLY, "check-3-2": "5.0"})
    nbgrader(folder, "autograde", NAME)
    nbgrader(folder, "generate_feedback", NAME)
    return folder


def test_validate_passes_on_the_source_and_fails_on_the_release(course):
    said = nbgrader(course.folder, "validate", f"source/{NAME}/{NAME}.ipynb", f"release/{NAME}/{NAME}.ipynb")
    success, failure = said.split("\n", 1)
    assert success == "Success! Your notebook passes all the tests."
    assert "VALIDATION FAILED ON 2 CELL(S)!" in failure and failure.count("CheckFailed") >= 2


def test_autograde_gives_all_none_or_a_part_of_the_points(graded):
    with Gradebook(f"sqlite:///{graded / 'gradebook.db'}") as gradebook:
        marks = {submission.student.id: {grade.name: grade.score for grade in submission.notebooks[0].grades}
                 for submission in gradebook.assignment_submissions(NAME)}
    assert marks == {"solved": {"check-3-2": 5, "check-3-4": 2}, "stub": {"check-3-2": 0, "check-3-4": 0},
                     "partly": {"check-3-2": 1.67, "check-3-4": 2}}  # one part of three, and the changed check does not count


def test_feedback_says_what_is_wrong(graded):
    pages = {path.parts[-3]: path.read_text(encoding="utf-8") for path in (graded / "feedback").rglob("*.html")}
    assert set(pages) == {"solved", "stub", "partly"}
    assert "mean_pool is not implemented yet" in pages["stub"]
    assert "1 of 3 points" in pages["partly"] and "one protein ✓" in pages["partly"]


@pytest.fixture
def formgrader(graded):
    """Ask formgrader, which runs in a Jupyter server of the course directory; an answer is text."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyter", "server", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=secret", "."]

    def ask(page, data=None):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/{page}", data, {"Authorization": "token secret"})
        return urllib.request.urlopen(request, timeout=60).read().decode()

    with open(graded / "server.log", "w") as log:
        server = subprocess.Popen(command, cwd=graded, stdout=log, stderr=log)
    try:
        wait_for(lambda: ask("api"), server, graded / "server.log")
        yield ask
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(answer, server, log):
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            return answer()
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_formgrader_shows_the_course_and_makes_the_same_release(graded, formgrader):
    [assignment] = json.loads(formgrader("formgrader/api/assignments"))
    assert (assignment["name"], assignment["num_submissions"], assignment["max_score"]) == (NAME, 3, 7)
    scores = {there["student"]: there["score"] for there in json.loads(formgrader(f"formgrader/api/submissions/{NAME}"))}
    assert scores == {"solved": 7, "stub": 0, "partly": 3.67}
    for page in ("manage_assignments", "gradebook", "manage_students", f"gradebook/{NAME}/{NAME}"):
        assert "formgrader" in formgrader(f"formgrader/{page}")
    papers = json.loads(formgrader(f"formgrader/api/submitted_notebooks/{NAME}/{NAME}"))
    shown = [formgrader(f"formgrader/submissions/{paper['id']}/") for paper in papers]
    assert len(shown) == 3 and all("check-3-2" in page for page in shown)
    released = graded / "release" / NAME / f"{NAME}.ipynb"
    before = released.read_text()
    assert json.loads(formgrader(f"formgrader/api/assignment/{NAME}/assign", b"{}"))["success"]  # the button "Generate"
    assert released.read_text() == before
