"""The process that runs a student's code: inside the sandbox, never trusted.

It reads the notebooks and says which exercises they are about. Then, for each property of each exercise, it forks a child that runs the
code that the exercise needs and answers calls until it is told to end: what one does to Python, PyTorch or itself, the next does not see.
"""
import ctypes
import linecache
import os
import select
import signal
import socket
import sys
import traceback
from importlib import import_module

import torch

import plmcourse
from plmcourse.grading import notebook
from plmcourse.grading.remote import Peer
from plmcourse.grading.wire import Channel, Ended

_PR_SET_DUMPABLE = 4
# what the first cell of every notebook imports, for one in which it was deleted
USUAL = {"np": "numpy", "pd": "pandas", "torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", "pc": "plmcourse", "math": "math"}


class Student(Peer):
    """The end of the connection at which a student's functions are."""

    def __init__(self, channel):
        super().__init__(channel, "there")

    def explain(self, error):
        """An error as data, with the line of the student's own code that it came from."""
        try:
            text = str(error)
        except BaseException as other:
            text = f"(its text cannot be read: {type(other).__name__})"
        return {"kinds": [kind.__name__ for kind in type(error).__mro__], "text": text[:2000], "line": own_line(error)}


def own_line(error):
    """The last line of a notebook's cell in an error's traceback, or None."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("cell ")]
    return (linecache.getline(frames[-1].filename, frames[-1].lineno).strip() or None) if frames else None


def main(control, count):
    """Serve until the other side hangs up."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # children may not look into this process
    torch.set_num_threads(1)
    channel = Channel(socket.socket(fileno=control))
    books = [Book(place) for place in range(count)]
    channel.send({"books": [book.summary() for book in books]})
    while True:
        order, _ = channel.receive()
        select.select([channel.socket], [], [])
        _, [line], _, _ = socket.recv_fds(channel.socket, 1, 1)
        child = os.fork()
        if child == 0:
            channel.close()
            examined(Channel(socket.socket(fileno=line)), books[order["book"]], order)
        os.close(line)
        channel.receive()  # "end"
        end_all(child)
        channel.send({"do": "ended"})


def end_all(child):
    """Kill the child and whatever it has left behind; in the sandbox nothing else is running."""
    if os.environ["NOTEBOOKS"].startswith("/submission"):
        os.kill(-1, signal.SIGKILL)
    else:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class Book:
    """One of the submission's notebooks, read once."""

    def __init__(self, place):
        names = os.environ["NOTEBOOKS"].split(",")
        name = f"{names[0]}/{place}.ipynb" if os.path.isdir(names[0]) else names[place]
        self.problem, self.notes, self.parsed, self.numbers = None, [], [], set()
        try:
            with open(name, "rb") as file:
                book = notebook.read(file.read())
            self.parsed = notebook.statements(book)
            self.numbers, self.notes = notebook.exercises(book, self.parsed), [*book.notes]
        except ValueError as error:
            self.problem = str(error)
        except MemoryError:
            self.problem = "The notebook is too large to be read."

    def summary(self):
        return {"problem": self.problem, "notes": [str(note)[:300] for note in self.notes[:20]], "exercises": sorted(self.numbers)}


def examined(channel, book, order):
    """Run the code that an exercise needs, then answer calls to its functions; this process ends here."""
    peer = Student(channel)
    try:
        answer = notebook.answer(book.parsed, order["number"], order["names"])
        for piece in order["open"]:
            reopen(*piece)
        found, problem = run(answer, order["names"])
        for name, value in found.items():
            peer.register(f"there-{name}", value)
        names = {name: [getattr(value, "__name__", "") or name, callable(value)] for name, value in found.items()}
        channel.send({"do": "ready", "problem": problem, "notes": [str(note)[:300] for note in answer.notes[:20]], "functions": names})
        while True:
            peer.answer(*channel.receive())
    except BaseException as error:
        os._exit(0 if isinstance(error, Ended) else 1)  # nothing of the other processes' shutting down must run here


def reopen(module, name, source):
    """Put one of the course's answers back, for the package and for whoever has imported it."""
    owner = import_module(module)
    closed, space = getattr(owner, name), dict(vars(owner))
    exec(compile(source, f"{module}.{name}", "exec"), space)
    for other in [other for key, other in sys.modules.items() if key.startswith("plmcourse")]:
        for alias in [alias for alias, value in vars(other).items() if value is closed]:
            setattr(other, alias, space[name])


def run(answer, names):
    """Execute an answer's statements one by one: (values by name, what is the matter with the others or None)."""
    space = {"__name__": "__main__"} | {name: import_module(USUAL[name]) for name in answer.missing & USUAL.keys()}
    found, problem = {}, answer.problem
    for statement in answer.code:
        try:
            exec(statement.compile(), space)
        except BaseException as error:
            problem = problem or f"Cell {statement.cell.number} stopped with {type(error).__name__}: {error} (in the line: {own_line(error)})"
    for name, expression in zip(names, answer.expressions):
        try:
            if expression is not None:
                found[name] = eval(expression, space)
        except BaseException as error:
            problem = problem or f"{expression} cannot be had: {type(error).__name__}: {error}"
    return found, problem if len(found) < len(names) else None


if __name__ == "__main__":
    # the package is imported whole before a student's code runs, so that each child finds it ready
    for part in ("architecture", "classifiers", "contacts", "embeddings", "lora", "metrics", "pretraining", "scoring", "structures"):
        getattr(plmcourse, part)
    main(int(sys.argv[1]), int(sys.argv[2]))
