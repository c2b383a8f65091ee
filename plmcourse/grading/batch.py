"""Grading a class: several submissions at a time, each kept as soon as it is done, so that a batch that was killed goes on where it was."""
import ctypes
import fcntl
import hashlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

import plmcourse
from plmcourse.grading import closed, report, sandbox
from plmcourse.grading.gradebook import write_gradebook
from plmcourse.grading.submissions import File, Submission, find
from plmcourse.grading.wire import MOST_BYTES, Channel, Ended

SLACK = 120  # seconds that an examiner may take above a submission's own, to start and to compare


def grade(submissions, course, output, jobs=None, limits=sandbox.Limits(), safe=True, fresh=False):
    """Grade all submissions; write the table of marks, feedback beside it, and nbgrader's gradebook.

    Parameters
    ----------
    submissions : path
        A folder or a zip, see :func:`plmcourse.grading.submissions.find`.
    course : Course
    output : path
        Of the table, such as grades.csv.
    jobs : int, optional
        Submissions at a time; as many as there are cores by default.
    limits : Limits
    safe, fresh : bool
        Whether to use a sandbox; whether to forget earlier results.

    Returns
    -------
    list of dict
        One result per student.

    Raises
    ------
    ValueError
        If there is no sandbox here, or somebody else is grading this course.
    """
    reason = sandbox.missing() if safe else None
    if reason:
        raise ValueError(f"{reason}; install it, or say --unsafe to run the submissions as yourself, unprotected")
    found, output = find(submissions), Path(output)
    store = Store(course, fresh)
    with store.locked(), tempfile.TemporaryDirectory(prefix="plmcourse-") as package:
        closed.write_package(package)
        _examine_all(found, store, _Crew(course, Path(package), limits, safe, jobs or os.cpu_count() or 1))
        results = [store.result(submission) for submission in found]
        report.write_csv(results, course, output)
        write_gradebook(results, course)
        _write_feedback(results, course, output.with_name(f"{output.stem}_feedback"))
    return results


def _write_feedback(results, course, folder):
    folder.mkdir(exist_ok=True)
    for result in results:
        report.write_feedback(result, course, folder)


def summary(results):
    """A line for people: how many were graded, and how."""
    counts = Counter(result["status"] for result in results)
    return f"{len(results)} submissions: " + ", ".join(f"{counts[status]} {status}" for status in ("graded", "odd", "not graded"))


def _examine_all(found, store, crew):
    """Examine what is not in the store yet."""
    waiting = queue.SimpleQueue()
    left = [submission for submission in found if store.result(submission) is None]
    for submission in left:
        waiting.put(submission)
    with tqdm(total=len(found), initial=len(found) - len(left), unit="submission", desc="grading") as bar:
        failed = []
        threads = [threading.Thread(target=crew.work, args=(waiting, store, bar, failed)) for _ in range(min(crew.jobs, len(left)))]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            crew.stop()
            raise
    if failed:
        raise failed[0]


class Store:
    """Results on disk, one file each: written whole or not at all, and only good for the very same files and settings."""

    def __init__(self, course, fresh=False):
        self.course, self.folder = course, course.folder / ".grading"
        self.folder.mkdir(exist_ok=True)
        settings = [course.seed, course.notebooks, course.points, _digest_of_package()]
        self.settings, self._digests = json.dumps(settings, sort_keys=True), {}
        for path in self.folder.glob("*.json") if fresh else ():
            path.unlink()

    @contextmanager
    def locked(self):
        """Two runs at once would do everything twice."""
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"somebody else is grading in {self.course.folder} at this moment") from error
            yield

    def result(self, submission):
        """What an earlier run has found for this submission, or None."""
        path = self.folder / f"{submission.student}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept["result"] if kept["digest"] == self.digest(submission) else None

    def keep(self, submission, result):
        """Write a result, so that it is there whole even when the machine stops now."""
        path = self.folder / f"{submission.student}.json"
        unfinished = path.with_suffix(".new")
        with open(unfinished, "w", encoding="utf-8") as file:
            json.dump({"digest": self.digest(submission), "result": result}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)

    def digest(self, submission):
        """Stands for a submission's files and the course's settings."""
        if submission.student not in self._digests:
            whole = hashlib.sha256(self.settings.encode())
            whole.update(repr([submission.student, submission.name, submission.notes, sorted(submission.lms.items())]).encode())
            for file in submission.files:
                whole.update(repr((file.name, hashlib.sha256(_content(file)[0] or b"").hexdigest())).encode())
            self._digests[submission.student] = whole.hexdigest()
        return self._digests[submission.student]


def _digest_of_package():
    """Changes with the checks and with the way in which they are run."""
    paths = sorted(path for part in ("checks", "grading") for path in (Path(plmcourse.__file__).parent / part).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _content(file):
    """(bytes or None, why it cannot be read or None)."""
    if file.size > MOST_BYTES // 2:
        return None, f"it has {file.size:,} bytes"
    try:
        return file.read(), None
    except (OSError, ValueError) as error:
        return None, str(error)


class _Crew:
    """The processes that examine."""

    def __init__(self, course, package, limits, safe, jobs):
        self.course, self.package, self.limits, self.safe, self.jobs = course, package, limits, safe, jobs
        self.stopped, self.running = False, set()

    def work(self, waiting, store, bar, failed):
        """Examine until nothing is waiting; in a thread of its own."""
        examiner = None
        try:
            while not (self.stopped or failed):
                try:
                    submission = waiting.get_nowait()
                except queue.Empty:
                    return
                examiner = examiner or self._start()
                result = examiner.examine(submission)
                if result is None:  # it has died or hangs: once more with a new one, for it may have been somebody else's doing
                    examiner = self._replace(examiner)
                    result = examiner.examine(submission)
                if result is None:
                    examiner = self._replace(examiner)
                    result = _not_graded(submission, self.course)
                store.keep(submission, result)
                bar.update()
        except Exception as error:  # a full disk, say: the batch ends, and the error is raised where the batch was begun
            failed.append(error)
        finally:
            if examiner:
                examiner.close()

    def stop(self):
        """End all examinations."""
        self.stopped = True
        for examiner in list(self.running):
            examiner.process.kill()

    def _start(self):
        examiner = Examiner(self.course, self.package, self.limits, self.safe)
        self.running.add(examiner)
        return examiner

    def _replace(self, examiner):
        self.running.discard(examiner)
        examiner.close()
        return self._start()


class Examiner:
    """A process of ours that examines submissions one after the other."""

    def __init__(self, course, package, limits, safe):
        self.limits = limits
        self.channel, theirs = Channel.pair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "plmcourse.grading.batch", str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            env=os.environ | {"PLMCOURSE_SEED": str(course.seed), "PLMCOURSE_WEIGHTS": "embedded", "OMP_NUM_THREADS": "1",
                              "PYTHONPATH": os.pathsep.join([str(Path(plmcourse.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])},
            preexec_fn=_die_with_parent)
        theirs.close()
        self.channel.send({"course": asdict(course) | {"folder": str(course.folder)}, "package": str(package), "limits": asdict(limits),
                           "safe": safe})

    def examine(self, submission):
        """The result, or None when this process is no good any more."""
        files, blobs, notes = [], [], list(submission.notes)
        for file in submission.files:
            content, problem = _content(file)
            if problem or sum(map(len, blobs)) + len(content) > MOST_BYTES:
                notes.append(f"{file.name} cannot be read: {problem or 'all files together are too large'}.")
            else:
                files.append([file.name, file.modified, len(content)])
                blobs.append(content)
        self.channel.deadline = time.monotonic() + self.limits.seconds + SLACK
        try:
            self.channel.send({"student": submission.student, "name": submission.name, "notes": notes, "lms": submission.lms,
                               "files": files}, blobs)
            return self.channel.receive()[0]
        except Ended:
            return None

    def close(self):
        """End the process."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: nothing goes on when the batch is killed


def _not_graded(submission, course):
    """The result of a submission whose examination broke twice: for an instructor to look at."""
    lost = {number: {"points": 0.0, "of": course.points[number], "status": "stopped", "message": "The examination broke down.", "properties": []}
            for numbers in course.notebooks.values() for number in numbers}
    return {"student": submission.student, "name": submission.name, "lms": dict(submission.lms), "status": "not graded",
            "reason": "The examination broke down twice; please look at this submission yourself.", "exercises": lost,
            "notebooks": {name: {"file": None, "notes": []} for name in course.notebooks}}


def main(line):
    """The examiner's side: examine what comes until the line is closed."""
    import torch

    from plmcourse.grading.course import Course
    from plmcourse.grading.examine import examine

    torch.set_num_threads(1)
    channel = Channel(socket.socket(fileno=line))
    settings, _ = channel.receive()
    course = Course(**settings["course"] | {"folder": Path(settings["course"]["folder"])})
    limits, package = sandbox.Limits(**settings["limits"]), Path(settings["package"])
    while True:
        try:
            order, content = channel.receive()
        except Ended:
            return
        files, start = [], 0
        for name, modified, size in order["files"]:
            files.append(File(name, size, modified, bytes(content[start:start + size]).__bytes__))
            start += size
        submission = Submission(order["student"], order["name"], tuple(files), tuple(order["notes"]), order["lms"])
        child = os.fork()  # whatever this submission does to what it is examined with, the next finds it as it was
        if child == 0:
            _die_with_parent()
            try:
                channel.send(examine(submission, course, package, limits, settings["safe"]))
            finally:
                os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
