"""The build of the notebooks: what it refuses, what it hides, what stays the same, and what is in the wheel."""
import copy
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import build_notebooks
import nbformat
import notebook_source
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from notebook_source import STUB, BuildError, build_master, build_student

SOURCES = sorted((notebook_source.ROOT / "solutions").glob("*.py"))
SAMPLE = '''\
# %% [markdown]
# # A sample
#
# You will be able to double a number.

# %%
# pip install "{{install}}"
import matplotlib.pyplot as plt
from tqdm.auto import tqdm


class pc:
    check = staticmethod(lambda exercise, function: function)


# %% [markdown]
# ### Exercise 9.1 · Doubling · ◆ · 1 minute

# %%
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    the_secret_of_doubling = x + x
    return the_secret_of_doubling
    ### END SOLUTION


# %%
double = pc.check("9.1", double)
### BEGIN HIDDEN TESTS
assert double(21) == 42, "hidden from students"
### END HIDDEN TESTS

# %% alt="A line that rises."
for _ in tqdm(range(3)):
    pass
plt.plot([1, 2])
plt.show()

# %%
print("visible")

# %%
print("visible")

# %% [markdown] tags=["solution"]
# The quiz answer is forty-two, as cell 4 shows.

# %% tags=["solution"]
print("only in the solution notebook")
'''


def worth(exercise):
    return 3


@pytest.fixture
def source(tmp_path):
    """Function that writes a source and returns its path."""
    (tmp_path / "solutions").mkdir()

    def write(text=SAMPLE, name="09_sample"):
        path = tmp_path / "solutions" / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return path
    return write


def changed(old, new, count=1):
    """The sample with one passage replaced."""
    assert old in SAMPLE
    return SAMPLE.replace(old, new, count)


BEGIN, END = "    ### BEGIN SOLUTION\n", "    ### END SOLUTION\n"
MALFORMED = {
    "unclosed": (changed(END, ""), "cell 4, line 22: BEGIN SOLUTION is never closed."),
    "nested": (changed(BEGIN, BEGIN + BEGIN), "cell 4, line 23: BEGIN SOLUTION is nested in the one of line 22."),
    "end without begin": (changed(BEGIN, ""), "cell 4, line 24: END SOLUTION without a BEGIN."),
    "mixed": (changed(BEGIN, BEGIN + "    ### BEGIN HIDDEN TESTS\n"),
              "cell 4, line 23: BEGIN HIDDEN TESTS stands inside SOLUTION"),
    "crossed": (changed(END, "    ### END HIDDEN TESTS\n"), "cell 4, line 25: END HIDDEN TESTS stands inside SOLUTION"),
    "hidden tests unclosed": (changed("### END HIDDEN TESTS\n", ""),
                              "cell 5, line 30: BEGIN HIDDEN TESTS is never closed."),
    "in markdown": (changed("# You will", "# ### BEGIN SOLUTION\n# You will"),
                    "cell 1, line 4: a solution or hidden-tests mark"),
    "two hashes": (changed(BEGIN, "    ## BEGIN SOLUTION\n"), "cell 4, line 22: '## BEGIN SOLUTION' is not a mark"),
    "lower case": (changed(BEGIN, "    ### begin solution\n"), "cell 4, line 22: '### begin solution' is not a mark"),
    "with words": (changed(END, "    ### END SOLUTION of it\n"),
                   "cell 4, line 25: '### END SOLUTION of it' is not a mark"),
    "misspelt": (changed(BEGIN, "    ### BEGIN SOLUTON\n"), "cell 4, line 22: '### BEGIN SOLUTON' is not a mark"),
    "top level": (changed(BEGIN, "### BEGIN SOLUTION\n"), "cell 4, line 22: BEGIN SOLUTION at the left margin"),
    "tag": (changed('tags=["solution"]', 'tags=["Solutions"]'), "cell 9, line 46: tag 'Solutions' is unknown"),
    "no title": (changed("# # A sample", "# A sample"), "cell 1, line 1: the first cell must be markdown"),
    "no cell": (SAMPLE.replace("# %% [markdown]\n", "", 1), "line 5: 9 lines begin with '# %%'"),
    "no heading": (changed("Exercise 9.1", "Task 9.1"),
                   "cell 4, line 19: a solution or check before any 'Exercise N.M' heading."),
    "wrong heading": (changed("Exercise 9.1", "Exercise 9.2"),
                      "cell 5, line 28: check 9.1 under the heading of exercise 9.2."),
    "hidden without check": (changed('double = pc.check("9.1", double)', ""),
                             "cell 5, line 28: hidden tests in a cell without"),
    "check in solution": (changed("\n\n\n# %%\ndouble = pc", "\ndouble = pc"),
                          "cell 4, line 19: a solution and its check in one"),
    "checked twice": (SAMPLE + '\n# %%\npc.check("9.1", double)\n', "exercise 9.1 is checked twice."),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_sources_are_refused_with_file_cell_and_line(source, case):
    text, message = MALFORMED[case]
    with pytest.raises(BuildError) as refusal:
        build_master(source(text), worth)
    assert str(refusal.value).startswith("09_sample.py, ") and message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_solutions_become_stubs_and_hidden_tests_and_solution_cells_go(source):
    student = build_student(build_master(source(), worth))
    text = nbformat.writes(student)
    for secret in ("the_secret", "hidden from", "forty-two", "only in the solution", "BEGIN", "END"):
        assert secret not in text
    code = next(cell.source for cell in student.cells if "def double" in cell.source)
    assert code == f'def double(x):\n    """Twice x."""\n    {STUB}'
    namespace = {}
    exec(code, namespace)
    with pytest.raises(NotImplementedError, match="write your answer here"):
        namespace["double"](1)


def test_ids_stay_when_another_cell_changes(source):
    ids = [cell.id for cell in build_master(source(), worth).cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id) for id in ids)
    edited = [cell.id for cell in build_master(source(changed("plt.plot([1, 2])", "plt.plot([1, 3])")), worth).cells]
    assert [a == b for a, b in zip(ids, edited)].count(False) == 1
    one_more = changed('# %%\nprint("vis', '# %%\nx = 1\n\n# %%\nprint("vis')
    inserted = [cell.id for cell in build_master(source(one_more), worth).cells]
    assert [id for id in inserted if id in ids] == ids
    solved_otherwise = [cell.id for cell in build_master(source(changed("x + x", "2 * x")), worth).cells]
    assert solved_otherwise == ids
    assert [cell.id for cell in build_master(source(name="08_sample"), worth).cells] != ids


def test_nbgrader_metadata(source):
    master = build_master(source(), worth)
    for notebook in (master, build_student(master)):
        MetadataValidator().validate_nb(notebook)
        nbformat.validate(notebook)
        marked = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
        assert list(marked) == ["solution-9-1", "check-9-1"] == [cell.id for cell in marked.values()]
        solution, check = (cell.metadata.nbgrader for cell in marked.values())
        assert solution.solution and not solution.grade and not solution.locked and "points" not in solution
        assert check.grade and check.locked and not check.solution and check.points == 3


def test_badge_install_line_and_metadata(source):
    project = notebook_source.address()
    student = build_student(build_master(source(), worth))
    title, empty, badge, *rest = student.cells[0].source.split("\n")
    assert title == "# A sample" and empty == "" and rest == ["", "You will be able to double a number."]
    assert badge.startswith("[![Open in Colab]")
    assert f"/github/{project[0]}/blob/{project[1]}/notebooks/09_sample.ipynb)" in badge
    assert f'# pip install "plmcourse @ https://github.com/{project[0]}/releases/download/{project[1]}/plmcourse-' in \
        student.cells[1].source
    assert student.metadata.kernelspec.name == "python3" and "version" not in student.metadata.language_info
    assert all(set(cell.metadata) <= {"tags", "alt", "nbgrader"} for cell in student.cells)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder in which the sample is built, solution executed."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    (folder / "solutions" / "09_sample.py").write_text(SAMPLE, encoding="utf-8")
    assert build_notebooks.main([], root=folder, points=worth) == 0
    return folder


def test_the_solution_notebook_is_executed(built):
    notebook = nbformat.read(built / "solutions" / "09_sample.ipynb", as_version=4)
    MetadataValidator().validate_nb(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    figure = next(cell for cell in code if "alt" in cell.metadata)
    assert [list(output.data) for output in figure.outputs] == [["image/png", "text/plain"]]  # the progress bar is gone
    assert figure.outputs[0].metadata["image/png"] == {"alt": "A line that rises."}
    assert code[-1].outputs[0].text == "only in the solution notebook\n"
    assert "version" not in notebook.metadata.language_info and "widgets" not in notebook.metadata


def test_check_finds_a_single_changed_character(built, tmp_path, capsys):
    def drift(file, old, new):
        path = built / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        status = build_notebooks.main(["--check"], root=built, points=worth)
        path.write_text(text, encoding="utf-8")
        return status, capsys.readouterr().out

    assert build_notebooks.main(["--check"], root=built, points=worth) == 0
    status, text = drift("notebooks/09_sample.ipynb", "print(\\\"visible", "print(\\\"risible")
    assert status == 1 and text.startswith("notebooks/09_sample.ipynb differs from a fresh build in cell 7; ")
    status, text = drift("notebooks/09_sample.ipynb", '\n "nbformat"', '\n\n "nbformat"')
    assert status == 1 and "in its metadata or layout" in text
    status, text = drift("solutions/09_sample.ipynb", "the_secret", "the_segret")
    assert status == 1 and text.startswith("solutions/09_sample.ipynb differs from a fresh build in cell 4; ")
    status, text = drift("solutions/09_sample.ipynb", "rises", "falls")
    assert status == 1 and "solutions/09_sample.ipynb differs from a fresh build in cell" in text
    status, text = drift("solutions/09_sample.ipynb", "visible\\n", "another output\\n")
    assert status == 0 and text == ""
    status, text = drift("solutions/09_sample.py", "x + x", "2 * x")
    assert status == 1 and text.count("\n") == 1 and "solutions/09_sample.ipynb" in text
    (built / "notebooks" / "10_gone.ipynb").write_text("{}", encoding="utf-8")
    assert build_notebooks.main(["--check"], root=built, points=worth) == 1
    assert "notebooks/10_gone.ipynb has no source solutions/10_gone.py." in capsys.readouterr().out
    (built / "notebooks" / "10_gone.ipynb").unlink()


BAD_OUTPUTS = {
    "warning": ("import warnings\nwarnings.warn('beware')", "writes to stderr: "),
    "address": ("print(object())", "prints 'at 0x"),
    "path": ("import sys\nprint(sys.prefix)", "which differs on another machine."),
    "no alt text": ("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()", "draws a figure without alt text"),
    "error": ("1 / 0", "ZeroDivisionError"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_a_bad_output_stops_the_build(source, tmp_path, capsys, case):
    code, message = BAD_OUTPUTS[case]
    source(f"# %% [markdown]\n# # Title\n\n# %%\n{code}\n")
    assert build_notebooks.main([], root=tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("09_sample.py") and message in error
    assert not (tmp_path / "solutions" / "09_sample.ipynb").exists()


def test_progress_bars_are_not_warnings():
    bars = ("\r  0%|          | 0/3 [00:00<?, ?it/s]\r100%|██████████| 3/3 [00:01<00:00,  2.9it/s]\n"
            "7 proteins [00:00, 9.1it/s]\n")
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", name="stderr", text=bars)])
    assert build_notebooks.stray_stderr(cell) == []
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="UserWarning: no\n"))
    assert build_notebooks.stray_stderr(cell) == ["UserWarning: no"]


def test_styled_tables_are_the_same_in_each_build(source, tmp_path):
    code = "import pandas as pd\npd.DataFrame({'a': [1.0]}).style.format(precision=3)"
    path = source(f"# %% [markdown]\n# # Title\n\n# %%\n{code}\n")
    builds = []
    for _ in range(2):
        assert build_notebooks.main([], root=tmp_path) == 0
        builds.append(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert "1.000" in builds[0] and builds[0] == builds[1]


def test_unknown_names_are_refused(built, capsys):
    with pytest.raises(SystemExit):
        build_notebooks.main(["03_embedings"], root=built)
    assert "solutions/ has no 03_embedings.py; it has: 09_sample" in capsys.readouterr().err


# --- what is committed: no drift, no leak ---

def secret_lines(master):
    """Lines between marks or in solution cells that are not visible elsewhere, and all that is visible."""
    secret, visible = set(), set()
    for cell in master.cells:
        hidden = 0
        for line in cell.source.splitlines():
            hidden += line.strip() in ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS")
            (secret if hidden or "solution" in cell.metadata.get("tags", []) else visible).add(line.strip())
            hidden -= line.strip() in ("### END SOLUTION", "### END HIDDEN TESTS")
    return secret - visible - {""}, "\n".join(visible)


def strings(value):
    """All texts in a notebook's JSON, keys included."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def leaks(master, notebook_json):
    """Secret lines in the JSON of a notebook: whole lines anywhere, long ones also inside other text."""
    secret, visible = secret_lines(master)
    everything = "\n".join(strings(json.loads(notebook_json)))
    lines = {line.strip() for line in everything.splitlines()}
    return sorted(line for line in secret
                  if line in lines or (len(line) > 11 and line not in visible and line in everything))


def test_the_leak_test_finds_leaks_wherever_they_are(source):
    master = build_master(source(), worth)
    student = build_student(master)
    assert len(secret_lines(master)[0]) > 5 and leaks(master, nbformat.writes(student)) == []
    secret = "the_secret_of_doubling = x + x"
    for place in ("source", "outputs", "metadata", "attachments"):
        leaky = copy.deepcopy(student)
        {"source": lambda: leaky.cells[1].update(source=f"y = 1  # {secret}"),
         "outputs": lambda: leaky.cells[1].outputs.append(nbformat.v4.new_output("stream", text=f"{secret}\n")),
         "metadata": lambda: leaky.metadata.update(note=[secret]),
         "attachments": lambda: leaky.cells[0].update(attachments={secret: {"text/plain": "x"}})}[place]()
        assert leaks(master, nbformat.writes(leaky)) == [secret], place


def test_committed_notebooks_equal_a_fresh_build(capsys):
    assert build_notebooks.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_solution_leaks_into_the_student_notebook(path, root):
    text = (root / "notebooks" / f"{path.stem}.ipynb").read_text(encoding="utf-8")
    assert leaks(build_master(path), text) == []
    for cell in nbformat.reads(text, as_version=4).cells:
        assert not cell.get("outputs") and not cell.get("execution_count") and not cell.get("attachments")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_each_figure_of_the_solution_has_alt_text(path):
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
                assert output.metadata[kind]["alt"].strip(), f"cell {number}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_committed_notebooks_have_valid_nbgrader_metadata(path, root):
    for file in (root / "notebooks" / f"{path.stem}.ipynb", path.with_suffix(".ipynb")):
        MetadataValidator().validate_nb(nbformat.read(file, as_version=4))


# --- the wheel ---

@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """A wheel of this working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=root, check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_data_and_student_notebooks_and_nothing_secret(wheel, root):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        notebooks = {Path(name).stem: archive.read(name).decode() for name in names if name.endswith(".ipynb")}
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    assert wheel.stat().st_size < 35e6
    assert "plmcourse/data/manifest.json" in names and "plmcourse/data/models/course-8M/model.safetensors" in names
    manifest = json.loads((root / "data" / "manifest.json").read_text(encoding="utf-8"))
    assert {f"plmcourse/data/{entry['file']}" for entry in manifest["files"].values()} <= names
    assert sorted(notebooks) == [path.stem for path in SOURCES]
    assert not [name for name in names if "solution" in name or name.startswith(("tests", "tools"))]
    for path in SOURCES:
        assert leaks(build_master(path), notebooks[path.stem]) == []


def test_the_installed_wheel_finds_its_data(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import plmcourse; print(plmcourse.__file__); print(len(plmcourse.datasets.load('tem1')))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    place, rows = run.stdout.split()
    assert place.startswith(str(tmp_path)) and int(rows) > 0
