"""``plmcourse release``: a course directory for nbgrader, made from the repository's solutions.

What it writes, and who may see it: ``source/`` holds the notebooks with their solutions, ``release/`` and ``students.zip`` what
students get, ``plmcourse.json`` the seed and the points, ``gradebook.db`` nbgrader's records. nbgrader itself makes the notebooks
for students and the records from ``source/``; after a change to a source, say ``nbgrader generate_assignment NAME --force``.
"""

import hashlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
from tqdm import tqdm

import plmcourse
from plmcourse.grading.course import FILE, Course, check_points, check_seed, read_course, write_course

REPOSITORY = Path(plmcourse.__file__).parents[1]
LARGEST_DRAWN = 10**9 - 1  # short enough to read out

CONFIG = '''"""nbgrader's settings for this course. plmcourse release writes it once: change it freely."""

import json
import os
from pathlib import Path

from nbconvert.preprocessors import TagRemovePreprocessor

c = get_config()  # noqa: F821, nbgrader defines it

folder = Path(__file__).resolve().parent
c.CourseDirectory.root = str(folder)
c.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"

# kernels inherit these: a wrong answer stops its check, and the checks take other proteins and numbers than students see
settings = json.loads((folder / "plmcourse.json").read_text(encoding="utf-8"))
os.environ["PLMCOURSE_GRADING"] = "1"
os.environ["PLMCOURSE_SEED"] = str(settings["seed"])
os.environ["PLMCOURSE_WEIGHTS"] = "embedded"
c.Execute.timeout = 600  # seconds for one cell


class SolutionCells(TagRemovePreprocessor):
    """A class of its own: what is set for it holds for what students get, and hides nothing that they hand in."""


# what students get: cells with the tag "solution" go, and each solution leaves a stub
c.GenerateAssignment.preprocessors.prepend([SolutionCells])
c.SolutionCells.enabled = True
c.SolutionCells.remove_cell_tags = {"solution"}
c.ClearSolutions.code_stub = {"python": STUB}
'''

# nbgrader reads a check's value as the points earned, but only of a check that does not raise
DO_NOT_RAISE = """### BEGIN HIDDEN TESTS
import os
os.environ["PLMCOURSE_GRADING"] = "0"  # count what is right instead of stopping at what is wrong
### END HIDDEN TESTS"""
COUNT = """### BEGIN HIDDEN TESTS
round({worth} * (pc.checks.scores()["{number}"] / pc.checks.points("{number}")), 2)
### END HIDDEN TESTS"""

README = """Notebooks of the course on protein language models
==================================================

{table}

You need Python 3.11 or 3.12. Install what the notebooks use, and open them:

    python -m pip install "{wheel}"
    jupyter lab

Write each answer where its cell says {stub}.
The cell below tells you whether the answer is right. Hand in the .ipynb files, under the names that they have.
"""


def release(out, notebooks=None, points=None, seed=None, source=REPOSITORY):
    """Make a course directory for nbgrader, or release notebooks into one that is there.

    In a course directory that is there, the seed, the points and the other notebooks stay as they are unless new ones are given;
    marks, submissions and nbgrader_config.py are left alone.

    Parameters
    ----------
    out : path
        A folder that is new, empty, or a course directory.
    notebooks : list of str, optional
        Numbers or names, such as "3" or "03_embeddings". Left out: those of the course directory, or all for a new one.
    points : dict of str to float, optional
        From exercises of these notebooks to what they are worth, such as {"3.2": 5}.
    seed : int, optional
        Varies the checks' proteins and numbers under grading; drawn at random for a new course when left out.
    source : path
        A clone of the repository.

    Returns
    -------
    Course
    """
    out, source = Path(out), Path(source)
    builder, earlier = load_builder(source), read_earlier(out, seed)
    chosen = choose(notebooks, list(earlier.notebooks), sorted(path.stem for path in (source / "solutions").glob("*.py")))
    worth = prices(earlier.points, points or {}, builder)
    masters = {name: builder.build_master(source / "solutions" / f"{name}.py", worth) for name in chosen}
    exercises = {name: [number for number, _ in graded_cells(master, builder)] for name, master in masters.items()}
    refuse_unknown(points or {}, exercises)
    for master in masters.values():
        give_parts_their_points(master, builder)
    digests = {name: digest(master) for name, master in masters.items()}
    refuse_changed(out, earlier.written, digests)
    numbers = dict(sorted((earlier.notebooks | exercises).items()))
    points = {number: worth(number) for found in numbers.values() for number in found}
    course = Course(out, earlier.seed, numbers, points, earlier.written | digests)
    write(course, earlier.written, masters, builder)
    return course


def load_builder(source):
    """The module tools/notebook_source.py of a clone: it is not in the wheel, for neither are the solutions."""
    path = source / "tools" / "notebook_source.py"
    if not path.is_file() or not (source / "solutions").is_dir():
        raise ValueError("plmcourse release needs solutions/ and tools/, which an installation from a wheel does not have: "
                         'clone the repository and install it from there with pip install -e ".[dev,grading]".')
    spec = importlib.util.spec_from_file_location("notebook_source", path)
    builder = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(builder)
    except ModuleNotFoundError as error:
        raise ImportError(f'plmcourse release needs {error.name}: install it with pip install -e ".[dev,grading]".') from error
    return builder


def read_earlier(out, seed):
    """The course that the folder holds, with the new seed if there is one; one without notebooks for a new or empty folder."""
    if seed is not None:
        check_seed(seed)
    if (out / FILE).exists():
        earlier = read_course(out)
        return earlier if seed is None else replace(earlier, seed=seed)
    if out.exists():
        if not out.is_dir():
            raise ValueError(f"{out} is a file; plmcourse release writes a folder.")
        taken = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
        if taken:
            raise ValueError(f"{out} holds {taken[0]} and is no course directory of plmcourse, for it has no {FILE}: "
                             "name a new folder.")
    return Course(out, 1 + secrets.randbelow(LARGEST_DRAWN) if seed is None else seed, {}, {})


def choose(words, earlier, available):
    """Names of the notebooks to release: those asked for, or those of the course, or all."""
    names = {word: name for name in available for word in (name, name.partition("_")[0], name.partition("_")[0].lstrip("0"))}
    unknown = [word for word in words or earlier if word not in names]
    if unknown:
        raise ValueError(f"there is no notebook {unknown[0]!r}; there are: {', '.join(available)}.")
    return sorted({names[word] for word in words or earlier or available})


def prices(earlier, points, builder):
    """A function from an exercise to what it is worth: the new points, or those it had before, or those of its check."""
    for number, worth in points.items():
        check_points(number, worth)
    given = earlier | points
    return lambda number: given[number] if number in given else builder.exercise_points(number)


def graded_cells(notebook, builder):
    """The check cells: list of (exercise, cell)."""
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return [(builder.CHECK.findall(cell.source)[0], cell) for cell in graded]


def refuse_unknown(points, exercises):
    """Points for an exercise that is not released now would be lost, silently."""
    known = [number for numbers in exercises.values() for number in numbers]
    unknown = [number for number in points if number not in known]
    if unknown:
        raise ValueError(f"points for {unknown[0]}: no notebook that is released now has it; they have: {', '.join(known)}.")


def refuse_changed(out, written, digests):
    """Keep what an instructor has changed in source/; what an interrupted release left there is as it would be written now."""
    for name, fresh in digests.items():
        path = source_path(out, name)
        if path.exists() and digest(nbformat.read(path, as_version=4)) not in (written.get(name), fresh):
            raise ValueError(f"{path} was changed after plmcourse release wrote it: move it away to have it written anew, or "
                             f"keep it and make the students' notebook with: nbgrader generate_assignment {name} --force")


def source_path(out, name):
    return out / "source" / name / f"{name}.ipynb"


def digest(notebook):
    """What tells whether a notebook was changed; running it, which adds outputs, is no change."""
    parts = [[cell.cell_type, cell.source, cell.metadata.get("nbgrader"), cell.metadata.get("tags")] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def give_parts_their_points(master, builder):
    """Let nbgrader count the parts of an exercise that are right, in lines marked as hidden tests: students do not get them."""
    for number, cell in graded_cells(master, builder):
        count = COUNT.format(worth=cell.metadata["nbgrader"]["points"], number=number)
        cell.source = "\n".join([DO_NOT_RAISE, cell.source, count])


def write(course, written, masters, builder):
    """Write the course directory; whenever this is interrupted, the next release knows what is its own and goes on."""
    out = course.folder
    out.mkdir(parents=True, exist_ok=True)
    write_course(replace(course, written=written))
    if not (out / "nbgrader_config.py").exists():
        (out / "nbgrader_config.py").write_text(CONFIG.replace("STUB", repr(builder.STUB)), encoding="utf-8")
    for name, master in masters.items():
        source_path(out, name).parent.mkdir(parents=True, exist_ok=True)
        source_path(out, name).write_text(nbformat.writes(master) + "\n", encoding="utf-8")
    write_course(course)
    for name in tqdm(masters, unit="notebook", leave=False):
        generate(out, name)
    pack(course, builder)


def generate(out, name):
    """Have nbgrader make the students' notebook and record its check cells in the gradebook."""
    # nbgrader calls alembic by name: it lies beside this Python, on no path when the environment is not activated
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run([sys.executable, "-m", "nbgrader", "generate_assignment", name, "--force"], cwd=out, text=True,
                          capture_output=True, env=os.environ | {"PATH": path})
    if done.returncode:
        reasons = [line.strip() for line in done.stderr.splitlines() if "Error: " in line]
        raise ValueError(f"nbgrader cannot release {name}: {reasons[-1] if reasons else done.stderr.strip()}")


def pack(course, builder):
    """Write students.zip from release/; the same notebooks give the same file."""
    titles = []
    with zipfile.ZipFile(course.folder / "students.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, numbers in course.notebooks.items():
            text = (course.folder / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
            archive.writestr(zipfile.ZipInfo(f"{name}.ipynb"), text, zipfile.ZIP_DEFLATED)
            total = sum(course.points[number] for number in numbers)
            titles.append(f"{name}.ipynb: exercises {', '.join(numbers)}; {total:g} points")
        readme = README.format(table="\n".join(titles), wheel=builder.address()[2], stub=builder.STUB)
        archive.writestr(zipfile.ZipInfo("README.txt"), readme, zipfile.ZIP_DEFLATED)
