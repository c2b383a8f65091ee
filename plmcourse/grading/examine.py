"""One submission, from its files to its marks. This process calls the student's functions in the sandbox and decides here."""
import re
import time

from plmcourse.checks import EXERCISES, engine
from plmcourse.grading import closed
from plmcourse.grading.remote import Peer
from plmcourse.grading.sandbox import Sandbox
from plmcourse.grading.wire import Ended, TimedOut

READING = 30  # seconds to start the sandbox and to read the notebooks, besides the seconds of a property
STARTS = 5  # of the sandbox for one submission; whoever ends it more often is not examined further
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def examine(submission, course, package, limits, safe=True):
    """Grade one submission.

    Parameters
    ----------
    submission : Submission
    course : Course
    package : Path
        Folder with the package without answers.
    limits : Limits
    safe : bool
        False runs the student's code without bubblewrap.

    Returns
    -------
    dict
        Plain data: student, name, lms, status, reason, notebooks, exercises.
    """
    files, notes = _contents(submission)
    examination = Examination([content for _, content in files], package, limits, safe)
    try:
        books = _by_notebook(files, examination.books(), course, notes)
        exercises = {number: examination.exercise(number, books.get(name, (None, None))[0], course.points[number])
                     for name in course.notebooks for number in course.notebooks[name]}
    finally:
        examination.close()
    notes += examination.notes
    read = [name for name in books if books[name][0] is not None]
    reason = "" if read else "No notebook of this course could be read."
    return {
        "student": submission.student, "name": submission.name, "lms": dict(submission.lms),
        "status": "odd" if read and notes else "graded" if read else "not graded", "reason": clean(" ".join([reason, *notes]).strip()),
        "notebooks": {name: {"file": books[name][1] if name in books else None,
                             "notes": examination.notes_of(books.get(name, (None,))[0])} for name in course.notebooks},
        "exercises": exercises,
    }


def clean(text, most=2000):
    """A student's text without what a terminal or a file would take for a command."""
    return _CONTROL.sub("\ufffd", str(text)[:most]).encode("utf-8", "replace").decode("utf-8")


def _contents(submission):
    """What can be read, as (File, bytes), and a sentence for all that is odd."""
    files, notes = [], list(submission.notes)
    for file in submission.files:
        try:
            files.append((file, file.read()))
        except (OSError, ValueError) as error:
            notes.append(f"{file.name} cannot be read: {error}.")
    return files, notes


def _by_notebook(files, books, course, notes):
    """Which file is which of the course's notebooks: dict from its name to (place among the files, file's name)."""
    found = {}
    for place, ((file, _), book) in enumerate(zip(files, books)):
        if book["problem"]:
            notes.append(f"{file.name}: {book['problem']}")
            continue
        named = [name for name in course.notebooks if name in file.name]
        counts = {name: len(set(book["exercises"]) & set(course.notebooks[name])) for name in course.notebooks}
        name = named[0] if named else max(counts, key=counts.get, default=None)
        if not named and not (name and counts[name]):
            notes.append(f"{file.name} is none of this course's notebooks.")
            continue
        if name in found:
            notes.append(f"There are several files for {name}; {file.name}, the last, is graded.")
        found[name] = place, file.name
    return found


class Examination:
    """A submission's sandbox, started anew when its code has ended it."""

    def __init__(self, contents, package, limits, safe):
        self.contents, self.package, self.limits, self.safe = contents, package, limits, safe
        self.end, self.starts, self.sandbox, self.summaries, self.notes = time.monotonic() + limits.seconds, 0, None, [], []

    def books(self):
        """What each file is: its exercises, oddities, and why it cannot be read."""
        if self.contents:
            try:
                self._start()
            except Ended as ended:
                self.notes.append(f"Its files could not be read: {self._why(ended)}")
        return self.summaries

    def close(self):
        """End the sandbox."""
        if self.sandbox:
            self.sandbox.kill()
            self.sandbox = None

    def notes_of(self, place):
        """What was odd about a file's form."""
        return [] if place is None else [clean(note) for note in self.summaries[place]["notes"]]

    def _start(self):
        self.close()
        self.starts += 1
        if self.starts > STARTS:
            raise Ended("it was ended too often")
        self.sandbox = Sandbox(self.contents, self.package, self.limits, self.safe)
        self.sandbox.control.deadline = min(self.end, time.monotonic() + self.limits.property_seconds + READING)
        self.summaries = [_summary(book) for book in self.sandbox.control.receive()[0]["books"]]
        if len(self.summaries) != len(self.contents):
            raise Ended("a message that makes no sense")

    def exercise(self, number, place, worth):
        """Examine one exercise: plain data as the report wants it."""
        exercise = EXERCISES[number]
        trial = _Trial(self, exercise, place)
        properties = engine.run(exercise, trial.nothing if place is None else trial.functions, trial.around)
        share = worth / exercise.points
        earned = sum(part.points for part in properties if part.passed)
        missing = trial.missing or isinstance(next((part.wrong for part in properties if part.wrong), None), NotImplementedError)
        status = ("right" if all(part.passed for part in properties) else "partly" if earned else "missing" if missing else
                  "stopped" if trial.stopped else "wrong")
        return {
            "points": round(earned * share, 2), "of": worth, "status": status, "message": trial.message and clean(trial.message),
            "properties": [{"title": part.title, "points": round(part.points * share, 2) if part.passed else 0.0,
                            "of": round(part.points * share, 2), "passed": part.passed, "message": _message(part),
                            "case": clean(part.wrong.case) if getattr(part.wrong, "case", None) else None} for part in properties]}

    def begin(self, exercise, place):
        """A channel to a fresh process that has run the code which the exercise needs, and what that process says."""
        if time.monotonic() > self.end:
            raise TimedOut("the submission's time is over")
        if self.sandbox is None:
            self._start()
        deadline = min(self.end, time.monotonic() + self.limits.property_seconds)
        self.sandbox.control.deadline = deadline + 10
        channel = self.sandbox.begin(
            {"book": place, "number": exercise.number, "names": exercise.names, "open": closed.reopened(exercise.number)})
        channel.deadline = deadline
        return channel

    def finish(self):
        """End the process that :meth:`begin` started; where the sandbox is gone, the next one starts anew."""
        try:
            if self.sandbox:
                self.sandbox.end()
        except Ended:
            self.close()

    def _why(self, ended):
        if isinstance(ended, TimedOut):
            return "it took too long."
        reason = self.sandbox and self.sandbox.reason
        return f"it used {reason}." if reason else "its process ended."

    def why(self, ended, exercise):
        """Why an examination came to its end, in a sentence."""
        if isinstance(ended, TimedOut):
            return f"{' and '.join(exercise.names)} did not answer within {self.limits.property_seconds:g} seconds."
        reason = self.sandbox and self.sandbox.reason
        more = f": {reason}" if reason else ", as by os._exit, a crash, or too much memory"
        return f"The process ended while {' and '.join(exercise.names)} was running{more}."


def _summary(data):
    """A file's summary as it comes from the sandbox, with nothing in it that is not expected."""
    problem, notes, numbers = data.get("problem"), data.get("notes"), data.get("exercises")
    return {"problem": None if problem is None else clean(problem, 300), "notes": [str(note)[:300] for note in notes][:20],
            "exercises": [number for number in numbers if number in EXERCISES]}


def _message(part):
    return None if part.wrong is None else clean(engine.sentence(part.wrong))


class _Trial:
    """One exercise's steps, each with a process of its own."""

    def __init__(self, examination, exercise, place):
        self.examination, self.exercise, self.place = examination, exercise, place
        self.message, self.missing, self.stopped = None, False, False

    def nothing(self):
        """Stands for the functions of an exercise whose notebook was not handed in."""
        self.missing, self.message = True, "The notebook with this exercise was not handed in."
        return [_refuser(NotImplementedError(self.message))] * len(self.exercise.names)

    def functions(self):
        """The student's functions, in a fresh process."""
        channel = self.examination.begin(self.exercise, self.place)
        peer = Peer(channel, "here")
        said, _ = channel.receive()
        try:
            problem, there = said["problem"], said["functions"]
            named = {name: (str(there[name][0]), bool(there[name][1])) for name in self.exercise.names if name in there}
        except (KeyError, TypeError, IndexError) as error:
            raise Ended("a message that makes no sense") from error
        if problem is not None:
            self.missing, self.message = not named, str(problem)
        return [self._function(peer, name, named.get(name)) for name in self.exercise.names]

    def _function(self, peer, name, said):
        if said is None:
            return _refuser(NotImplementedError(self.message or f"There is no {name}."))
        shown, is_callable = said
        if not is_callable:
            return _refuser(engine.Wrong(f"{name} is no function or class: it cannot be called."))
        return peer.take({"object": f"there-{name}", "type": "function", "name": shown, "callable": True})

    def around(self, step):
        """Run one step; an end of the student's process is a failure of this step, and a time-out of all that follow."""
        if self.stopped:
            return engine.Wrong("This was not examined any more, after an earlier property had taken too long.")
        try:
            return step()
        except Ended as ended:
            self.stopped = isinstance(ended, TimedOut)
            return engine.Wrong(self.examination.why(ended, self.exercise))
        finally:
            if self.place is not None:
                self.examination.finish()


def _refuser(error):
    def refuse(*arguments, **options):
        raise error

    return refuse
