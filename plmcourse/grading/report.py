"""Marks for people: a table for the instructor, a page of feedback for each student, files that Canvas and Moodle import.

Names, messages and file names may come from students. In HTML they are escaped, in tables they cannot start a formula.
"""

import csv
import functools
import io
import math
import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

NUMBER = re.compile(r"\d+\.\d+")  # of an exercise
FIRST, LAST = ["student", "name"], ["total", "of", "status", "reason"]  # columns around those of the exercises
LONGEST = 1000  # characters of one text in a page: an error message can have millions
# what no screen shows, or what makes the text around it read otherwise: controls, marks of direction, halves of characters
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# where a spreadsheet would begin a formula: at the start of a cell, or after a semicolon, which in some countries ends a cell
FORMULA = re.compile(r"(^|;)(?=['\s]*[=+\-@＝＋－＠])")
GUARDED = re.compile(r"(^|;)'(?=['\s]*[=+\-@＝＋－＠])")
SAFE_NAME = re.compile(r"[\w-][\w.-]*")


def clean(text, longest=LONGEST):
    """A text from a student on one line: nothing unseen in it, and cut off where it is too long."""
    text = " ".join(UNSEEN.sub(" ", str(text)[: 2 * longest]).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def guard(text):
    """A text that no spreadsheet takes for a formula: an apostrophe goes before the sign that would begin one."""
    return FORMULA.sub(r"\1'", text)


def unguard(text):
    """What :func:`guard` was given."""
    return GUARDED.sub(r"\1", text)


def plain(number):
    """A number as people write it, with two decimals at most: 2, 2.5, 0.33."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def total(result, numbers):
    """Points of one student for these exercises."""
    return round(sum(result["exercises"][number]["points"] for number in numbers if number in result["exercises"]), 2)


def _replace(path, text, encoding="utf-8"):
    """Write a file all at once: nobody ever reads half of it."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(text, encoding=encoding, newline="")
    os.replace(unfinished, path)


# --- the table ---


def write_csv(results, course, path):
    """Write the marks as a table: one row per student, one column per exercise.

    Columns with the students' numbers in Canvas or Moodle (``canvas_user``, ``moodle_participant``) come last, where there
    are any. The file begins with a byte order mark: without it, Excel spoils all names that are not ASCII.

    Parameters
    ----------
    results : list of dict
        One per student.
    course : Course
    path : path
    """
    numbers = [number for numbers in course.notebooks.values() for number in numbers]
    systems = sorted({system for result in results for system in result["lms"]})
    worth = plain(sum(course.points[number] for number in numbers))
    rows = [[*FIRST, *numbers, *LAST, *systems]]
    for result in sorted(results, key=lambda result: result["student"]):
        marks = [plain(total(result, [number])) for number in numbers]
        rows.append(
            [
                result["student"],
                clean(result["name"], 200),
                *marks,
                plain(total(result, numbers)),
                worth,
                result["status"],
                clean(result["reason"]),
                *(clean(result["lms"].get(system, "")) for system in systems),
            ]
        )
    _replace(Path(path), _table([[guard(cell) for cell in row] for row in rows]), encoding="utf-8-sig")


def _table(rows, separator=",", line_end="\n"):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=line_end).writerows(rows)
    return text.getvalue()


@dataclass(frozen=True)
class Marks:
    """A row of the table that :func:`write_csv` wrote."""

    student: str
    name: str
    points: dict[str, float]
    total: float
    of: float
    status: str
    reason: str
    lms: dict[str, str]

    def __str__(self):
        return clean(f"{self.student} ({self.name})" if self.name != self.student else self.student)


def read_grades(path):
    """Read a table that :func:`write_csv` wrote, or one that went through a spreadsheet program since.

    Returns
    -------
    list of Marks

    Raises
    ------
    ValueError
        For a file that is no such table, naming the row.
    """
    header, *rows = _read_table(path).rows
    lacking = [column for column in FIRST + LAST if column not in header]
    if lacking:
        raise ValueError(f"{path} is no table of marks as plmcourse grade writes it: it has no column {lacking[0]}.")
    marks = []
    for line, row in enumerate(rows, start=2):
        if any(row):
            cells = {column: unguard(cell) for column, cell in zip(header, row + [""] * (len(header) - len(row)))}
            marks.append(_marks(cells, f"{path}, row {line}"))
    twice = [student for student, count in Counter(row.student for row in marks).items() if count > 1]
    if twice:
        raise ValueError(f"{path} has {twice[0]} twice.")
    return marks


def _marks(cells, where):
    numbers = {
        column: _number(cells.pop(column), f"{where}, column {column}")
        for column in list(cells)
        if NUMBER.fullmatch(column) or column in ("total", "of")
    }
    known = {column: cells.pop(column).strip() for column in [*FIRST, "status", "reason"]}
    lms = {system: number.strip() for system, number in cells.items() if number.strip()}
    return Marks(total=numbers.pop("total"), of=numbers.pop("of"), points=numbers, lms=lms, **known)


def _number(text, where):
    """The number that a cell holds; spreadsheets of many countries write a comma before the decimals."""
    *whole, last = re.split("[.,]", text.strip())
    try:
        number = float(f"{''.join(whole)}.{last}" if whole else last)
    except ValueError as error:
        raise ValueError(f"{where}: {text!r} is not a number.") from error
    if not math.isfinite(number):
        raise ValueError(f"{where}: {text!r} is not a number.")
    return number


@dataclass
class _Table:
    """A table as it was read: with what separates its cells and its lines, so that it can be written the same way."""

    rows: list[list[str]]
    separator: str
    line_end: str
    mark: str  # byte order mark or nothing

    def text(self):
        return self.mark + _table(self.rows, self.separator, self.line_end)


def _read_table(path):
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    mark, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    first = text.partition("\n")[0]
    separator = max(",;", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path} is not CSV: {error}.") from error
    if not rows:
        raise ValueError(f"{path} is empty.")
    return _Table(rows, separator, "\r\n" if first.endswith("\r") else "\n", mark)


# --- feedback ---


def write_feedback(result, course, folder):
    """Write the page of one student, ``folder/STUDENT.html``: marks and what was wrong, nothing about tests or other students.

    The page needs no other file and runs no scripts.

    Returns
    -------
    Path
    """
    student = result["student"]
    if not SAFE_NAME.fullmatch(student):
        raise ValueError(f"{student!r} cannot be the name of a file.")
    sections = [
        _section(result, notebook, numbers) | {"of": sum(course.points[number] for number in numbers)}
        for notebook, numbers in course.notebooks.items()
    ]
    page = _template().render(
        result=result,
        sections=sections,
        total=sum(section["points"] for section in sections),
        of=sum(section["of"] for section in sections),
        not_run=any(
            part["passed"] is None
            for section in sections
            for exercise in section["exercises"].values()
            for part in exercise["properties"]
        ),
    )
    path = Path(folder) / f"{student}.html"
    _replace(path, page)
    return path


def _section(result, notebook, numbers):
    handed_in = result["notebooks"].get(notebook, {})
    return {
        "title": notebook,
        "file": handed_in.get("file"),
        "notes": handed_in.get("notes", []),
        "numbers": numbers,
        "exercises": {number: result["exercises"][number] for number in numbers if number in result["exercises"]},
        "points": total(result, numbers),
    }


@functools.cache
def _template():
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clean": clean, "lines": _lines, "plain": plain}
    return environment.from_string(files("plmcourse.grading").joinpath("feedback.html").read_text(encoding="utf-8"))


def _lines(text):
    """A text from a student that may have several lines, such as a case."""
    kept = [UNSEEN.sub("", line).rstrip() for line in str(text)[: 2 * LONGEST].strip("\n").split("\n")]
    text = "\n".join(kept)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# --- Canvas and Moodle ---

SYSTEMS = ("canvas", "moodle")
IDS = {"canvas": "canvas_user", "moodle": "moodle_participant"}
CANVAS_TITLE = re.compile(r"(.*) \((\d+)\)", re.DOTALL)  # of an assignment's column: its title and number


def export(grades_csv, to, template=None, assignment=None, scale=False):
    """Turn a table of marks into a file that Canvas or Moodle imports.

    With a template, the file that the system itself exported, nothing but the cells of one column changes. Students are found by
    their number in the system, then by login or mail address, then by name; where two could be meant, neither is taken.

    Parameters
    ----------
    grades_csv : path
        What ``plmcourse grade`` wrote.
    to : "canvas" or "moodle"
    template : path, optional
        From Canvas: Grades, Export. From Moodle: the assignment's grading worksheet.
    assignment : str, optional
        The column to fill: for Canvas the assignment's title or number, for Moodle the heading of the grades ("Grade").
    scale : bool
        Scale the points to the maximum that the template gives.

    Returns
    -------
    text : str
        The file, to be written with ``newline=""`` in UTF-8.
    notes : list of str
        A sentence for everything that an instructor should know, such as who was left out.
    """
    if to not in SYSTEMS:
        raise ValueError(f"there is no export to {to!r}; there are: {', '.join(SYSTEMS)}.")
    marks = read_grades(grades_csv)
    if not marks:
        raise ValueError(f"{grades_csv} has no students.")
    if template is None:
        if scale:
            raise ValueError("marks can only be scaled to the maximum of a template.")
        return (_minimal_canvas if to == "canvas" else _minimal_moodle)(marks, assignment or "plmcourse")
    table = _read_table(template)
    sheet = (_canvas_sheet if to == "canvas" else _moodle_sheet)(table, template, assignment)
    notes = _fill(sheet, marks, IDS[to], scale)
    return table.text(), notes


def _left_out(marks):
    """Marks to hand over, and a sentence for each student who has none: no mark is not the same as no points."""
    ungraded = [row for row in marks if row.status == "not graded"]
    notes = [f"{row} was not graded and is left out: {row.reason or 'no notebook could be read.'}" for row in ungraded]
    return [row for row in marks if row not in ungraded], notes


def _minimal_canvas(marks, title):
    """Canvas finds the students by number, those without one by name; a title that it does not know becomes a new assignment."""
    names = Counter(_name_key(row.name) for row in marks)
    marks, notes = _left_out(marks)
    rows = [
        ["Student", "ID", "Section", title],
        ["    Points Possible", "", "", plain(max((row.of for row in marks), default=0))],
    ]
    by_name = 0
    for row in marks:
        number = row.lms.get(IDS["canvas"], "")
        if not number and names[_name_key(row.name)] > 1:
            notes.append(f"{row} is left out: there is no Canvas number, and others have the same name.")
            continue
        by_name += not number
        rows.append([row.name, number, "", plain(row.total)])
    if by_name:
        notes.append(
            f"{by_name} students have no Canvas number: Canvas will look for their names; with the gradebook exported from "
            "Canvas as --template they are found here, and you see who is not."
        )
    return _table([[guard(cell) for cell in row] for row in rows]), notes


def _minimal_moodle(marks, title):
    """A grading worksheet of those who have a participant's number; if nobody has, a table for Moodle's grade import."""
    marks, notes = _left_out(marks)
    numbered = [row for row in marks if IDS["moodle"] in row.lms]
    if numbered:
        notes += [f"{row} is left out: there is no participant's number." for row in marks if row not in numbered]
        rows = [["Identifier", "Full name", "Grade", "Last modified (grade)"]]
        rows += [[f"Participant {row.lms[IDS['moodle']]}", row.name, plain(row.total), ""] for row in numbered]
        notes.append(
            "Import it in the assignment with Upload grading worksheet, in a course that is shown in English; Moodle skips "
            "grades above the assignment's maximum."
        )
    else:
        rows = [["username", "name", title], *([row.student, row.name, plain(row.total)] for row in marks)]
        notes.append(
            f"Import it in Grades, Import, CSV file: map username to username, name to ignore, and {title} to the grade item. It "
            "fits where the students in the table go by their Moodle usernames; else give a grading worksheet as --template."
        )
    return _table([[guard(cell) for cell in row] for row in rows]), notes


@dataclass
class _Sheet:
    """A template: which rows are students, how to tell who they are, and which cells to fill."""

    path: Path
    column: int
    rows: list[list[str]]
    maximum: float | None
    people: list[dict[str, str]]  # for each row what may identify it, under number, login and name
    locked: list[bool]
    too_high: str = ""  # what happens to marks above the maximum, where that is worth a sentence


def _canvas_sheet(table, path, assignment):
    header, *rows = table.rows
    named = header[:2] == ["LastName", "FirstName"]
    identifier = 2 if named else 1
    if "Section" not in header or header[identifier : identifier + 1] != ["ID"] or not (named or header[0] == "Student"):
        raise ValueError(f"{path} is no gradebook exported from Canvas: its first row does not begin with Student, ID … Section.")
    rows = [row + [""] * (len(header) - len(row)) for row in rows]
    possible = next((row for row in rows if "Points Possible" in row[0]), None)
    column = _canvas_column(header, possible, path, assignment)
    students = [row for row in rows if row is not possible and (row[0].strip() or row[identifier].strip())]
    people = [
        {
            "id": row[identifier],
            "name": f"{row[1]} {row[0]}" if named else row[0],
            "number": _cell(header, row, "SIS User ID"),
            "login": _cell(header, row, "SIS Login ID"),
        }
        for row in students
    ]
    maximum = possible and possible[column].strip()
    table.rows[1:] = rows
    return _Sheet(
        path,
        column,
        students,
        _number(maximum, f"{path}, Points Possible") if maximum else None,
        people,
        [row[column].strip().upper() in ("EX", "N/A") for row in students],
    )


def _canvas_column(header, possible, path, assignment):
    """Index of the assignment's column: the one that is named, or the only one there is."""
    found = {index: CANVAS_TITLE.fullmatch(title) for index, title in enumerate(header) if index > header.index("Section")}
    found = {
        index: match.groups() for index, match in found.items() if match and not (possible and "read only" in possible[index])
    }
    chosen = [index for index, parts in found.items() if assignment is None or assignment in (header[index], *parts)]
    titles = "; ".join(header[index] for index in found) or "none"
    if not chosen:
        asked = f" {assignment!r}" if assignment else ""
        raise ValueError(f"{path} has no assignment{asked}; it has: {titles}.")
    if len(chosen) > 1:
        raise ValueError(f"{path} has several assignments, name one with its number by --assignment: {titles}.")
    return chosen[0]


def _moodle_sheet(table, path, assignment):
    header, *rows = table.rows
    grade = assignment or "Grade"
    if grade not in header or not rows or not all(re.search(r"\d$", row[0]) for row in rows if any(row)):
        raise ValueError(
            f"{path} is no grading worksheet from Moodle: it needs a first column such as Participant 77123 and a column "
            f"{grade}; in a language other than English, name the column of the grades by --assignment."
        )
    table.rows[1:] = [row + [""] * (len(header) - len(row)) for row in rows]
    students = [row for row in table.rows[1:] if any(row)]
    people = [
        {
            "id": re.search(r"\d+$", row[0]).group(),
            "number": _cell(header, row, "ID number"),
            "login": _cell(header, row, "Username") or _cell(header, row, "Email address"),
            "name": _cell(header, row, "Full name"),
        }
        for row in students
    ]
    limits = {
        maximum for row in students if (maximum := _cell(header, row, "Maximum grade") or _cell(header, row, "Maximum Grade"))
    }
    return _Sheet(
        path,
        header.index(grade),
        students,
        _number(limits.pop(), f"{path}, Maximum grade") if len(limits) == 1 else None,
        people,
        [_cell(header, row, "Grade can be changed") == "No" for row in students],
        "Moodle skips it",
    )


def _cell(header, row, column):
    return row[header.index(column)].strip() if column in header else ""


def _fill(sheet, marks, system, scale):
    """Write the marks into the sheet's column; the notes about it."""
    graded, notes = _left_out(marks)
    factor, about_maximum = _factor(sheet, max(row.of for row in marks), scale)
    notes += about_maximum
    found, doubts = _match(marks, sheet.people, system)
    for index, row in found.items():
        if row not in graded:
            continue
        value = round(row.total * factor, 2)
        if sheet.locked[index]:
            notes.append(f"{row} is left out: {sheet.path} says that the grade cannot be changed, or the student is excused.")
            continue
        if sheet.too_high and sheet.maximum is not None and value > sheet.maximum:
            notes.append(f"{row}: {plain(value)} is above the maximum; {sheet.too_high}.")
        sheet.rows[index][sheet.column] = plain(value)
    waiting = [clean(person["name"] or person["id"], 200) for index, person in enumerate(sheet.people) if index not in found]
    if waiting:
        notes.append(f"Without marks here, and left as they were in {sheet.path}: {'; '.join(waiting)}.")
    return notes + [f"{row} is left out: {doubts[row.student]}." for row in graded if row.student in doubts]


def _factor(sheet, of, scale):
    """By what to multiply the marks, and a sentence if the maximum here differs from that of the template."""
    if scale and not (sheet.maximum and of):
        raise ValueError(f"{sheet.path} does not say one maximum to scale the marks to.")
    if sheet.maximum is None or sheet.maximum == of:
        return 1, []
    what = "scaled to the latter." if scale else "written as they are; --scale would scale them."
    sentence = f"The maximum is {plain(of)} points here and {plain(sheet.maximum)} in {sheet.path}: the marks are {what}"
    return sheet.maximum / of if scale else 1, [sentence]


def _match(marks, people, system):
    """Which row of the template belongs to which marks, dict from index to Marks, and why other students have none.

    A number of the system decides alone: who has one that the template does not have is somebody else, whatever the name. Only
    when it has none of them, as a worksheet of another assignment in Moodle, do logins and names count for all.
    """
    by_id = {person["id"]: index for index, person in enumerate(people)}
    times = Counter(row.lms.get(system) for row in marks)
    found = {by_id[number]: row for row in marks if (number := row.lms.get(system)) in by_id and times[number] == 1}
    trusted = not times.keys().isdisjoint(by_id)
    doubts = {row.student: "no row of the template is this student" for row in marks}
    for kind in ("number", "login", "name"):
        there, here = defaultdict(list), defaultdict(list)
        for index, person in enumerate(people):
            there[_person_key(kind, person[kind])].append(index)
        for row in marks:
            here[_person_key(kind, row.name if kind == "name" else row.student)].append(row)
        for word, row in [(word, row) for word, rows in here.items() if word and word in there for row in rows]:
            if row in found.values() or trusted and system in row.lms:
                continue
            if len(there[word]) == len(here[word]) == 1 and there[word][0] not in found:
                found[there[word][0]] = row
            else:
                doubts[row.student] = "the same name or login could mean several students"
    return found, {row.student: doubts[row.student] for row in marks if row not in found.values()}


def _person_key(kind, text):
    return _name_key(text) if kind == "name" else text.partition("@")[0].strip().casefold()


def _name_key(name):
    """A name without what differs from system to system: "Lovelace, Ada" is "Ada Lovelace"."""
    last, comma, first = clean(name).partition(",")
    return " ".join(unicodedata.normalize("NFKC", f"{first} {last}" if comma else last).casefold().split())
