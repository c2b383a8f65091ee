"""A student's code in bubblewrap: no network, a read-only system, a home and a /tmp of its own, and limits.

Inside runs :mod:`plmcourse.grading.worker`. What goes in are the notebooks' bytes; what comes out are messages.
"""
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from plmcourse import datasets
from plmcourse.grading.wire import Channel

HOME = "/home/student"
SUBMISSION = "/submission"
COURSE = "/course"


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    seconds: float = 600  # in all
    property_seconds: float = 60  # for one property of one exercise
    memory: int = 4 * 2**30  # bytes, each process and all together
    disk: int = 64 * 2**20  # bytes, in /tmp and home each
    processes: int = 64


def missing():
    """Why there is no sandbox on this machine, in one sentence, or None when there is one."""
    if not shutil.which("bwrap"):
        return "bubblewrap (the command bwrap) is not installed, so a student's code could read and write all that you can"
    run = subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"], capture_output=True, text=True)
    return None if run.returncode == 0 else f"bubblewrap does not work here: {run.stderr.strip() or 'it says nothing'}"


class Sandbox:
    """One submission's process, waiting for exercises to examine.

    Parameters
    ----------
    files : list of bytes
        The notebooks.
    package : Path
        Folder with the package without answers, see :mod:`plmcourse.grading.closed`.
    limits : Limits
    safe : bool
        False runs the code without bubblewrap, with no protection at all but the limits.
    """

    def __init__(self, files, package, limits, safe=True):
        self.limits, self.reason = limits, None
        self.control, theirs = Channel.pair()
        with _pipes(files) as pipes:
            command = _worker(theirs.fileno(), len(files))
            self.process = subprocess.Popen(
                _bubblewrap(command, pipes, package, limits) if safe else command, pass_fds=[theirs.fileno(), *pipes],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                env=_environment(package, safe, pipes), preexec_fn=lambda: _limit(limits))
        theirs.close()
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, order):
        """Start the process that examines one property; the channel to it."""
        ours, theirs = Channel.pair()
        self.control.send(order)
        socket.send_fds(self.control.socket, [b"+"], [theirs.fileno()])
        theirs.close()
        return ours

    def end(self):
        """End that process, and all that it has started."""
        self.control.send({"do": "end"})
        self.control.receive()

    def kill(self):
        """End everything in the sandbox."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself
        self.process.wait()
        self.control.close()

    def _watch(self):
        """Kill a sandbox whose processes are too many or too large together; the limits of the system count each by itself."""
        while self.process.poll() is None:
            count, size = _usage(self.process.pid)
            if count > self.limits.processes or size > self.limits.memory:
                self.reason = f"more than {self.limits.processes} processes" if count > self.limits.processes else "too much memory"
                self.process.kill()
            time.sleep(0.05)


def _usage(pid):
    """Number of processes below this one, and the memory that is theirs."""
    count = size = 0
    try:
        for process in psutil.Process(pid).children(recursive=True):
            count += 1
            with process.oneshot():
                memory = process.memory_info()
                size += max(0, memory.rss - memory.shared)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass  # one has just ended
    return count, size


@contextmanager
def _pipes(files):
    """For each notebook a file without a name that holds it: nothing of a submission is ever written where others can read."""
    pipes = []
    try:
        for content in files:
            pipe = os.memfd_create("notebook")
            pipes.append(pipe)
            _write_all(pipe, content)
            os.lseek(pipe, 0, os.SEEK_SET)
        yield pipes
    finally:
        for pipe in pipes:
            os.close(pipe)


def _write_all(pipe, content):
    view = memoryview(content)
    while view:
        view = view[os.write(pipe, view):]


def _worker(control, count):
    return [sys.executable, "-s", "-m", "plmcourse.grading.worker", str(control), str(count)]


def _environment(package, safe, pipes):
    names = {"OMP_NUM_THREADS": "1", "PLMCOURSE_WEIGHTS": "embedded", "HF_HUB_OFFLINE": "1", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
             "MPLBACKEND": "agg"}
    if safe:
        return names | {"PATH": "/usr/bin:/bin", "HOME": HOME, "PYTHONPATH": COURSE, "MPLCONFIGDIR": "/tmp", "NOTEBOOKS": SUBMISSION}
    return names | {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(package),
                    "NOTEBOOKS": ",".join(f"/proc/self/fd/{pipe}" for pipe in pipes)}


def _bubblewrap(command, pipes, package, limits):
    """The command line; what is not named here does not exist inside."""
    line = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000",
            "--hostname", "course", "--proc", "/proc", "--dev", "/dev"]
    for place in ("/tmp", HOME, "/dev/shm"):
        line += ["--size", str(limits.disk), "--tmpfs", place]
    for place in _system():
        line += ["--ro-bind", place, place]
    for place in ("/bin", "/lib", "/lib64", "/sbin"):
        line += ["--symlink", os.readlink(place), place] if os.path.islink(place) else ["--ro-bind-try", place, place]
    line += ["--ro-bind", str(package), COURSE, "--ro-bind", str(datasets.DATA), f"{COURSE}/data"]
    installed = Path(datasets.__file__).parent
    if any(installed.is_relative_to(place) for place in _system()):
        line += ["--ro-bind", str(package / "plmcourse"), str(installed)]  # a wheel's copy has the answers: cover it
    for number, pipe in enumerate(pipes):
        line += ["--ro-bind-data", str(pipe), f"{SUBMISSION}/{number}.ipynb"]
    return [*line, "--remount-ro", "/", "--chdir", HOME, *command]


def _system():
    """Folders that Python needs: the system's and its own."""
    wanted = ["/usr", "/etc/ld.so.cache", "/etc/alternatives", sys.base_prefix, sys.prefix]
    return [place for place in dict.fromkeys(wanted) if os.path.exists(place) and not (place != "/usr" and place.startswith("/usr/"))]


def _limit(limits):
    """Limits of the system, for each process by itself."""
    for kind, most in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_FSIZE, limits.disk), (resource.RLIMIT_CORE, 0),
                       (resource.RLIMIT_NOFILE, 256), (resource.RLIMIT_CPU, int(limits.seconds) + 60)):
        resource.setrlimit(kind, (most, most))
