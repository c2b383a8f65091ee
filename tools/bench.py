"""How fast the course's tools are, as ratios measured in one run; with --write into docs/benchmarks.md.

    python tools/bench.py models [embed scan contacts]   the course's functions beside fair-esm and transformers
    python tools/bench.py grading [--count 10 20 40]     plmcourse grade beside serial nbgrader autograde, on notebook 3
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run_notebooks import PeakMemory

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
NAME, BESIDE = "03_embeddings", 2  # nbgrader runs whole notebooks: two are enough to know what one takes


def machine():
    """The machine in words."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "CPU")
    return f"{os.cpu_count()} cores ({model}), {platform.system()}, Python {platform.python_version()}"


def write_section(title, text):
    """Put a section into docs/benchmarks.md, in place of the one with the same title."""
    head, *sections = re.split(r"^(?=## )", DOCUMENT.read_text(encoding="utf-8"), flags=re.M)
    kept = {section.split("\n", 1)[0]: section.strip() for section in sections} | {f"## {title}": f"## {title}\n\n{text.strip()}"}
    DOCUMENT.write_text("\n\n".join([head.strip(), *kept.values()]) + "\n", encoding="utf-8")


def write_class(folder, count):
    """``count`` students, a folder each, with the course's solution, made different by a cell of their own."""
    solution = json.loads((ROOT / "solutions" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    for number in range(count):
        student = folder / f"student{number:02}"
        student.mkdir(parents=True)
        cell = {"cell_type": "code", "id": "mine", "metadata": {}, "execution_count": None, "outputs": [], "source": f"number = {number}"}
        text = json.dumps(solution | {"cells": [*solution["cells"], cell]})
        (student / f"{NAME}.ipynb").write_text(text, encoding="utf-8")
    return folder


def timed(*command, folder):
    """(seconds, peak memory in bytes) of a command; CalledProcessError when it fails."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    start = time.perf_counter()
    with PeakMemory() as memory:
        subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True, env=os.environ | {"PYTHONPATH": paths},
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, memory.peak


def table(rows):
    """Rows of texts as a table in Markdown; the first row is the head."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def ours(course, folder, count, jobs):
    """A row: what grading this many takes with plmcourse; all must get full marks."""
    output = folder / f"grades{count}.csv"
    seconds, peak = timed("plmcourse.cli", "grade", str(write_class(folder / f"class{count}", count)), "--course", str(course),
                          "-o", str(output), "--jobs", str(jobs), "--fresh", folder=folder)
    totals = {line.split(",")[6] for line in output.read_text(encoding="utf-8-sig").splitlines()[1:]}
    if totals != {"12"}:
        raise SystemExit(f"not everybody got 12 points: {totals}")
    return seconds / count, peak


def nbgraders(course, folder):
    """The same for serial nbgrader autograde."""
    for student in sorted(write_class(folder / "for nbgrader", BESIDE).iterdir()):
        shutil.copytree(student, course / "submitted" / student.name / NAME)
    seconds, peak = timed("nbgrader", "autograde", NAME, folder=course)
    return seconds / BESIDE, peak


def grading(counts, jobs=2):
    """The table of ``grading``."""
    from plmcourse.grading.release import release

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        course = release(folder / "course", ["3"]).folder
        alone = nbgraders(course, folder)
        rows = [["", "submissions", "seconds for one", "faster than nbgrader", "peak memory"],
                ["nbgrader autograde", str(BESIDE), f"{alone[0]:.1f}", "1", f"{alone[1] / 2**20:,.0f} MB"]]
        for count in counts:
            seconds, peak = ours(course, folder, count, jobs)
            rows.append([f"plmcourse grade --jobs {jobs}", str(count), f"{seconds:.1f}", f"{alone[0] / seconds:.1f}", f"{peak / 2**20:,.0f} MB"])
    return f"{machine()}. Notebook 3, the course's solution with 12 of 12 points.\n\n{table(rows)}"


def models(tasks, rounds, count):
    """The tables of ``models``."""
    import torch
    from bench_models import compare

    parts = [f"{machine()}, PyTorch {torch.__version__} with {torch.get_num_threads()} threads, the embedded checkpoint in float32. Ratios are "
             f"times of the peer over times of plmcourse in the same round: median of {rounds} rounds, and their range."]
    for task in tasks:
        title, rows = compare(task, rounds, count)
        lines = [["", "seconds", "ratio", "range", "peak memory", "largest difference"]]
        for row in rows:
            differs = f"{row['differs']:.1e}"
            if "spearman" in row:
                differs += f"; Spearman {row['spearman']:.5f}, least cosine {row['cosine']:.6f}"
            lines.append([row["name"], f"{row['seconds']:.2f}", f"{row['ratio']:.2f}", f"{row['low']:.2f} to {row['high']:.2f}",
                          f"{row['memory'] / 2**20:,.0f} MB", differs if row is not rows[0] else ""])
        parts.append(f"**{title[0].upper()}{title[1:]}**\n\n{table(lines)}")
    return "\n\n".join(parts)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("models", help="the course's functions beside fair-esm and transformers")
    command.add_argument("tasks", nargs="*", default=["embed", "scan", "contacts"])
    command.add_argument("--rounds", type=int, default=5)
    command.add_argument("--count", type=int, help="proteins, instead of 1,000 to embed and 60 chains")
    command.set_defaults(title="Beside fair-esm and transformers", run=lambda chosen: models(chosen.tasks, chosen.rounds, chosen.count))
    command = commands.add_parser("grading", help="plmcourse grade beside nbgrader autograde")
    command.add_argument("--count", nargs="+", type=int, default=[10, 20, 40], help="submissions in a class")
    command.set_defaults(title="Grading", run=lambda chosen: grading(chosen.count))
    chosen = parser.parse_args(arguments)
    text = chosen.run(chosen)
    print(text)
    if chosen.write:
        write_section(chosen.title, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
