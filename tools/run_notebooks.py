"""Run the solution notebooks headless and say what they cost.

    python tools/run_notebooks.py [NAME ...]

writes build/NAME.html for every notebook of solutions/ (or those named) and prints wall time and peak memory. The
environment chooses the weights: PLMCOURSE_MODEL=650M runs the course on a larger model.
"""
import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
STOPPED = (CellExecutionError, CellTimeoutError, DeadKernelError)  # the ways a notebook does not reach its end


class PeakMemory:
    """Peak resident memory, in bytes, of all descendants that a process starts while the ``with`` block runs.

    Polling misses a spike shorter than the interval; in exchange it works the same on Linux, macOS and Windows.
    """

    def __init__(self, pid=None, interval=0.1):
        self.process = psutil.Process(pid)
        self.interval = interval
        self.peak = 0

    def __enter__(self):
        self.before = set(self.process.children(recursive=True))
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._poll, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()

    def _poll(self):
        polls, started = 0, set()
        while not self.done.wait(self.interval):
            if polls % 10 == 0:  # looking for new processes costs more than looking at known ones
                started = set(self.process.children(recursive=True)) - self.before
            self.peak = max(self.peak, sum(resident(process) for process in started))
            polls += 1


def resident(process):
    """Resident memory of a process in bytes; 0 when it ended in the meantime."""
    try:
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0


def execute(notebook, env=None, on_cell=None, timeout=300):
    """Run all cells of a notebook in place, in a fresh folder of its own.

    Parameters
    ----------
    notebook : NotebookNode
        Gets its outputs filled in.
    env : dict, optional
        Environment of the kernel; this process's own by default.
    on_cell : callable, optional
        Called after each code cell.
    timeout : float
        Seconds that one cell may take.

    Returns
    -------
    tuple of float and int
        Wall time in seconds and peak memory of the kernel in bytes.
    """
    env = dict(os.environ if env is None else env)
    env.pop("MPLBACKEND", None)  # notebooks draw inline
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", coalesce_streams=True,
                                record_timing=False, store_widget_state=False,
                                resources={"metadata": {"path": folder}})
        if on_cell is not None:
            client.on_cell_executed = lambda cell, cell_index, execute_reply: on_cell()
        start = time.perf_counter()
        client.execute(env=env)
        seconds = time.perf_counter() - start
    return seconds, memory.peak


def run(path, bar):
    """Run one notebook, write its HTML page, and return its row of the table."""
    notebook = nbformat.read(path, as_version=4)
    bar.set_description(path.stem)
    bar.reset(total=sum(cell.cell_type == "code" for cell in notebook.cells))
    try:
        seconds, peak = execute(notebook, on_cell=bar.update)
        row = f"{path.stem:<32}{seconds:>8.1f} s{peak / 2**20:>9.0f} MB", True
    except STOPPED as error:
        row = f"{path.stem:<32}failed: {str(error).strip().splitlines()[-1]}", False
    page, _ = HTMLExporter().from_notebook_node(notebook)
    (ROOT / "build" / f"{path.stem}.html").write_text(page, encoding="utf-8")
    return row


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="for example 03_embeddings; all when left out")
    names = parser.parse_args(arguments).names
    paths = sorted((ROOT / "solutions").glob("*.ipynb"))
    unknown = set(names) - {path.stem for path in paths}
    if unknown:
        parser.error(f"solutions/ has no executed notebook {sorted(unknown)[0]!r}; it has: "
                     + ", ".join(path.stem for path in paths))
    (ROOT / "build").mkdir(exist_ok=True)
    with tqdm(unit="cell") as bar:
        rows = [run(path, bar) for path in paths if not names or path.stem in names]
    print(f"{'notebook':<32}{'wall time':>10}{'peak memory':>12}", *(text for text, _ in rows), sep="\n")
    return 0 if all(passed for _, passed in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
