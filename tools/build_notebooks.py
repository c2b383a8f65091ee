"""Build the notebooks from their source, solutions/*.py (jupytext py:percent).

    python tools/build_notebooks.py [NAME ...]     build all notebooks, or those named (03_embeddings)
      --no-execute                                 only the student notebooks, which need no kernel
      --check                                      write nothing; exit 1 when what is there differs from a fresh build

notebooks/NAME.ipynb is for students: no solutions, no outputs. solutions/NAME.ipynb is the source executed, with
outputs.
"""
import argparse
import copy
import os
import re
import sys
import tempfile

import nbformat
from notebook_source import ROOT, BuildError, build_master, build_student, exercise_points
from run_notebooks import STOPPED, execute

BAR = re.compile(r"\d+%\||\[\d+:\d\d(:\d\d)?[<,]")  # what tqdm draws, with and without a known total
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
TABLE = re.compile(r'<table id="T_([0-9a-f]+)"')  # pandas gives a styled table a random id


def build_solution(master, name):
    """The executed notebook, its outputs free of progress bars and of anything that differs from machine to machine."""
    notebook = copy.deepcopy(master)
    env = {key: value for key, value in os.environ.items() if not key.startswith("PLMCOURSE_")}
    try:
        seconds, peak = execute(notebook, env | {"PLMCOURSE_WEIGHTS": "embedded"})
    except STOPPED as error:
        raise BuildError(f"{name}.py does not run to its end.\n{error}") from error
    notebook.metadata = copy.deepcopy(master.metadata)  # the kernel adds its Python version
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            clean_outputs(cell, f"{name}.py, cell {number}, which begins {cell.source.partition(chr(10))[0]!r}")
    return notebook, seconds, peak


def clean_outputs(cell, where):
    """Drop progress bars, add alt texts; refuse warnings, memory addresses and paths of this machine."""
    stray = stray_stderr(cell)
    if stray:
        raise BuildError(f"{where}: writes to stderr: {stray[0]!r}.")
    cell.metadata.pop("execution", None)
    cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"
                    and "application/vnd.jupyter.widget-view+json" not in output.get("data", {})]
    for output in cell.outputs:
        steady(output.get("data", {}), cell.id)
        text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        text += str(output.get("traceback", ""))
        paths = [path for path in (str(ROOT), sys.prefix, tempfile.gettempdir() + os.sep) if path in text]
        if paths or ADDRESS.search(text):
            found = (paths or ADDRESS.findall(text))[0]
            raise BuildError(f"{where}: prints {found!r}, which differs on another machine.")
        for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
            if not cell.metadata.get("alt"):
                raise BuildError(f"{where}: draws a figure without alt text; add alt=\"…\" to the '# %%' line.")
            output.metadata[kind] = output.metadata.get(kind, {}) | {"alt": cell.metadata["alt"]}


def steady(data, name):
    """Make what pandas draws at random the same in each build: the ids of styled tables, and addresses beside them."""
    for number, table in enumerate(TABLE.findall(data.get("text/html", ""))):
        data["text/html"] = data["text/html"].replace(f"T_{table}", f"T_{name}_{number}")
    if "text/html" in data and "text/plain" in data:
        data["text/plain"] = ADDRESS.sub("", data["text/plain"]).replace(" >", ">")


def stray_stderr(cell):
    """Lines on stderr that are not progress bars."""
    text = "\n".join(output.text for output in cell.outputs if output.get("name") == "stderr")
    return [line for line in re.split(r"[\r\n]", text) if line.replace("\x1b[A", "").strip() and not BAR.search(line)]


def to_json(notebook):
    return nbformat.writes(notebook) + "\n"


def without_outputs(notebook):
    """What the drift check compares of a solution notebook: everything but the outputs."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def difference(fresh, path, compare_outputs):
    """Sentence on the first cell of a committed notebook that differs from a fresh build, or None."""
    where = f"{path.parent.name}/{path.name}"
    if not path.exists():
        return f"{where} is missing; run make notebooks."
    text = path.read_text(encoding="utf-8")
    there = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    if not compare_outputs:
        there = without_outputs(there)
        text = to_json(there)
    if text == to_json(fresh):
        return None
    pairs = zip([*fresh.cells, None], [*there.cells, None])
    number = next((number for number, (ours, theirs) in enumerate(pairs, 1) if ours != theirs), None)
    place = f"in cell {number}" if number else "in its metadata or layout"
    return f"{where} differs from a fresh build {place}; edit solutions/{path.stem}.py and run make notebooks."


def drift(root, names, points):
    """All differences between what is there and a fresh build, one sentence each."""
    found = []
    for name in names:
        master = build_master(root / "solutions" / f"{name}.py", points)
        found += [difference(build_student(master), root / "notebooks" / f"{name}.ipynb", compare_outputs=True),
                  difference(master, root / "solutions" / f"{name}.ipynb", compare_outputs=False)]
    return [sentence for sentence in found if sentence]


def orphans(root, names):
    """Notebooks without a source, one sentence each."""
    return [f"{folder}/{path.name} has no source solutions/{path.stem}.py." for folder in ("notebooks", "solutions")
            for path in sorted((root / folder).glob("*.ipynb")) if path.stem not in names]


def build(root, name, points, run):
    """Write the student's notebook and, with ``run``, the executed solution."""
    master = build_master(root / "solutions" / f"{name}.py", points)
    (root / "notebooks").mkdir(exist_ok=True)
    (root / "notebooks" / f"{name}.ipynb").write_text(to_json(build_student(master)), encoding="utf-8")
    if run:
        solution, seconds, peak = build_solution(master, name)
        (root / "solutions" / f"{name}.ipynb").write_text(to_json(solution), encoding="utf-8")
        print(f"{name}: {len(master.cells)} cells, ran in {seconds:.0f} s with {peak / 2**20:.0f} MB at most")


def main(arguments=None, root=ROOT, points=exercise_points):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example 03_embeddings; all when left out")
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 on a difference")
    parser.add_argument("--no-execute", action="store_true", help="only build the student notebooks")
    options = parser.parse_args(arguments)
    names = [path.stem for path in sorted((root / "solutions").glob("*.py"))]
    for name in options.names:
        if name not in names:
            parser.error(f"solutions/ has no {name}.py; it has: {', '.join(names)}")
    try:
        if options.check:
            found = drift(root, options.names or names, points) + ([] if options.names else orphans(root, names))
            print(*found, sep="\n", end="\n" if found else "")
            return 1 if found else 0
        for name in options.names or names:
            build(root, name, points, run=not options.no_execute)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
