"""Tables of marks, pages of feedback, files for Canvas and Moodle: what is in them, and that no student can write into them."""

import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from plmcourse.grading.course import Course
from plmcourse.grading.report import clean, export, guard, plain, read_grades, unguard, write_csv, write_feedback

NOTEBOOKS = {"03_embeddings": ["3.1", "3.2"], "04_fine_tuning": ["4.1"]}
POINTS = {"3.1": 4, "3.2": 3, "4.1": 2.5}
COURSE = Course(Path("course"), 7, NOTEBOOKS, POINTS)
TITLES = {
    "3.1": ["one protein", "a batch", "padding", "other layers"],
    "3.2": ["one protein", "padding", "bad input"],
    "4.1": ["loss"],
}
HOSTILE = '<script>alert("x")</script>'


def exercise(number, passed, message=None):
    """What became of an exercise: its first properties passed, the next one failed, the others were not run."""
    worth = POINTS[number] / len(TITLES[number])
    parts = [
        {
            "title": title,
            "points": worth * (place < passed),
            "of": worth,
            "passed": True if place < passed else None,
            "message": None,
            "case": None,
        }
        for place, title in enumerate(TITLES[number])
    ]
    if passed < len(parts) and not message:
        parts[passed] |= {
            "passed": False,
            "message": "The vectors of <cls> and padding are counted.",
            "case": 'embed(plm, ["MK", "M"])',
        }
    status = "right" if passed == len(parts) else "partly" if passed else "wrong"
    return {"points": round(worth * passed, 2), "of": POINTS[number], "status": status, "message": message, "properties": parts}


def paper(student, name, passed=(4, 3, 1), status="graded", reason="", **lms):
    """A student's result."""
    return {
        "student": student,
        "name": name,
        "lms": lms,
        "status": status,
        "reason": reason,
        "notebooks": {notebook: {"file": f"{notebook}.ipynb", "notes": []} for notebook in NOTEBOOKS},
        "exercises": {number: exercise(number, count) for number, count in zip(POINTS, passed)},
    }


def hostile_paper():
    """A student who writes into everything that a student can write into."""
    odd = paper(
        "mallory", f"=cmd|'/c calc'!A0 {HOSTILE}", (1, 0, 0), "odd", f"+1 {HOSTILE}\x1b[2J\u202e {'ü' * 5000}", canvas_user="=1+1"
    )
    odd["notebooks"]["03_embeddings"] = {"file": f"{HOSTILE}.ipynb", "notes": [HOSTILE]}
    for part in odd["exercises"]["3.1"]["properties"]:
        part |= {"message": f"embed stopped with ValueError: {HOSTILE}", "case": f"{HOSTILE}\n\x00\x07" + "x" * 10**6}
    odd["exercises"]["3.2"]["message"] = f'" onload="alert(1) {HOSTILE} \ud800'
    return odd


def sample_class():
    """Fifteen results: right, partly, wrong, missing, stopped, odd, not graded, hostile."""
    results = [
        paper("alice", "Alice A.", canvas_user="11"),
        paper("alice-2", "Alice A.", (1, 1, 1), canvas_user="12"),
        paper("bob", "Bob B.", (2, 1, 0)),
        paper("carol", "Carol C.", (0, 0, 0)),
        paper("-dave", "Dave, D."),
        hostile_paper(),
    ]
    missing = paper("erin", "Erin E.", (4, 0, 0), "odd", "03_embeddings.ipynb holds 3.1 twice; the last one counts.")
    missing["exercises"]["3.2"] = exercise("3.2", 0, "There is no function mean_pool in the notebook.") | {"status": "missing"}
    missing["notebooks"]["03_embeddings"]["notes"] = [
        "Exercise 3.1 is there twice; the last one counts.",
        "Cell 12 has a syntax error.",
    ]
    missing["notebooks"]["04_fine_tuning"]["file"] = None
    stopped = paper("frank", "Frank F.", (3, 3, 0))
    stopped["exercises"]["4.1"] = exercise("4.1", 0, "head_loss took more than 60 s and was stopped.") | {"status": "stopped"}
    unread = paper("grace", "Grace G.", (0, 0, 0), "not graded", "03_embeddings.ipynb is not JSON: line 1, column 1.")
    unread["notebooks"] = {notebook: {"file": None, "notes": []} for notebook in NOTEBOOKS}
    long_name = paper("heidi", "Ḧëïdï " * 60, (4, 2, 1))
    return [
        *results,
        missing,
        stopped,
        unread,
        long_name,
        *(paper(f"student-{number}", f"Student {number}", (number, 3, 1)) for number in range(5)),
    ]


@pytest.fixture
def grades(tmp_path):
    write_csv(sample_class(), COURSE, tmp_path / "grades.csv")
    return tmp_path / "grades.csv"


# --- the table ---


def test_table_holds_every_students_marks(grades):
    rows = list(csv.reader(io.StringIO(grades.read_bytes().decode("utf-8-sig"), newline="")))
    assert rows[0] == ["student", "name", "3.1", "3.2", "4.1", "total", "of", "status", "reason", "canvas_user"]
    assert [row[0] for row in rows[1:]] == [guard(student) for student in sorted(result["student"] for result in sample_class())]
    marks = {row[0]: row[2:7] for row in rows[1:]}
    assert marks["alice"] == ["4", "3", "2.5", "9.5", "9.5"]
    assert marks["bob"] == ["2", "1", "0", "3", "9.5"]
    assert marks["grace"] == ["0", "0", "0", "0", "9.5"]


def test_table_has_no_columns_for_systems_that_nobody_uses(tmp_path):
    write_csv([paper("bob", "Bob")], COURSE, tmp_path / "grades.csv")
    assert (
        (tmp_path / "grades.csv")
        .read_text(encoding="utf-8-sig")
        .startswith("student,name,3.1,3.2,4.1,total,of,status,reason\nbob,Bob,")
    )


def test_no_cell_begins_a_formula(grades):
    text = grades.read_text(encoding="utf-8-sig")
    for separator in ",;":
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            for cell in row:
                assert not re.match(r"\s*[=+\-@\t\r]", cell), cell
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", text)
    assert max(map(len, text.splitlines())) < 2500


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@sum", "'=1", "''-x", " =1", "a;=1", "a; '=1;-2", "Ada", "O'Hara", "a-b", "it's = that", "＝1"]
)
def test_guard_changes_only_what_is_dangerous_and_can_be_undone(text):
    assert unguard(guard(text)) == text
    assert (guard(text) != text) == bool(re.search(r"(^|;)['\s]*[=+\-@＝]", text))


def test_what_was_written_is_read_again(grades):
    marks = {row.student: row for row in read_grades(grades)}
    assert marks["-dave"].name == "Dave, D."
    assert marks["bob"].points == {"3.1": 2, "3.2": 1, "4.1": 0} and marks["bob"].total == 3 and marks["bob"].of == 9.5
    assert marks["alice"].lms == {"canvas_user": "11"} and marks["bob"].lms == {}
    assert marks["mallory"].name.startswith("=cmd|")


def test_a_table_that_went_through_a_spreadsheet_is_read(tmp_path):
    rows = 'student;name;3.1;total;of;status;reason\r\nbob;"Bob; B.";2,5;2,5;4;graded;\r\n;;;;;;\r\n'
    (tmp_path / "grades.csv").write_text(rows, encoding="utf-8-sig", newline="")
    [row] = read_grades(tmp_path / "grades.csv")
    assert (row.name, row.total, row.points) == ("Bob; B.", 2.5, {"3.1": 2.5})


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("student,name\nbob,Bob\n", "it has no column total"),
        ("student,name,total,of,status,reason\nbob,Bob,many,4,graded,\n", "row 2, column total: 'many' is not a number"),
        ("student,name,total,of,status,reason\nbob,Bob,nan,4,graded,\n", "row 2, column total: 'nan' is not a number"),
        ("student,name,total,of,status,reason\nbob,Bob,1,4,graded,\nbob,Bob,2,4,graded,\n", "has bob twice"),
        ("", "is empty"),
    ],
)
def test_another_table_is_refused(tmp_path, text, sentence):
    (tmp_path / "grades.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read_grades(tmp_path / "grades.csv")


# --- feedback ---


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = set(), {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= dict(attributes)

    def handle_data(self, data):
        self.text += data


def feedback(result, folder):
    return write_feedback(result, COURSE, folder).read_text(encoding="utf-8")


def test_page_has_every_mark_and_why_points_are_lost(tmp_path):
    page = " ".join(Page(feedback(paper("bob", "Bob B.", (2, 0, 1)), tmp_path)).text.split())
    assert "4.5 of 9.5 points" in page
    assert "✗Exercise 3.1 partly right2 of 4" in page
    assert "✓one protein 1 of 1 ✓a batch 1 of 1 ✗padding The vectors of <cls> and padding are counted. Smallest case:" in page
    assert "–other layers 0 of 1" in page and "was not run" in page
    assert "✓Exercise 4.12.5 of 2.5" in page


def test_a_students_text_stays_text(tmp_path):
    text = feedback(hostile_paper(), tmp_path)
    page = Page(text)
    assert "script" not in page.tags and "onload" not in page.attributes
    assert page.text.count(HOSTILE) >= 6
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800-\udfff]", text)
    assert len(text) < 60_000, "a message of a million characters is cut off"


def test_page_needs_nothing_else_and_runs_nothing(tmp_path):
    text = feedback(paper("bob", "Bob B."), tmp_path)
    page = Page(text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "embed", "base", "a"})
    assert not re.search(r"https?:|url\(|@import|\bon\w+=", text)
    assert "default-src 'none'" in page.attributes["content"] or "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_page_says_what_was_odd_and_what_is_missing(tmp_path):
    results = {result["student"]: result for result in sample_class()}
    page = Page(feedback(results["erin"], tmp_path)).text
    assert "holds 3.1 twice" in page and "Cell 12 has a syntax error." in page and "There is no function mean_pool" in page
    assert "No notebook was graded for 4.1." in page
    assert "Not graded." in Page(feedback(results["grace"], tmp_path)).text


def test_page_is_about_one_student(tmp_path):
    results = sample_class()
    for result in results:
        page = feedback(result, tmp_path)
        assert not [other["name"] for other in results if other["name"] != result["name"] and other["name"] in page]
    assert len(list(tmp_path.iterdir())) == len(results), "one file each, and nothing unfinished is left"


@pytest.mark.parametrize("student", ["../x", "a/b", "", ".", "..", ".hidden", "a\n", "a\0b"])
def test_a_student_whose_id_is_no_file_name_is_refused(tmp_path, student):
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        write_feedback(paper(student, "Bob"), COURSE, tmp_path)


def test_texts_and_numbers():
    assert clean(" a\tb\n\u202ec ") == "a b c" and clean("x" * 10, 4) == "xxx…"
    assert [plain(number) for number in (0, 2.0, 2.5, 1 / 3, 100, 1234567.25)] == ["0", "2", "2.5", "0.33", "100", "1234567.25"]


# --- Canvas ---

CANVAS = '''\
Student,ID,SIS User ID,SIS Login ID,Section,Notes,Exercises (501),Essay (502),Current Score,Final Score
,,,,,,Manual Posting,,,
    Points Possible,,,,,(read only),9.50,10.00,(read only),(read only)
"A., Alice",11,s11,aa1,A,,,7.00,50.00,50.00
"A., Alice",12,s12,aa2,A,,,8.00,50.00,50.00
"B., Bob",13,s13,bob@uni.example,B,late,1.00,9.00,50.00,50.00
"C., Carol",14,s14,cc,B,,EX,9.00,50.00,50.00
"=""=1+1""",15,s15,yy,B,,,9.00,50.00,50.00
"Student, Test",99,,tttt,A,,,,,
'''


def canvas(grades, tmp_path, template=CANVAS, assignment="Exercises", **options):
    (tmp_path / "canvas.csv").write_text(template, encoding="utf-8", newline="")
    text, notes = export(grades, "canvas", tmp_path / "canvas.csv", assignment, **options)
    return list(csv.reader(io.StringIO(text, newline=""))), notes


def test_canvas_only_the_assignments_column_changes(grades, tmp_path):
    rows, _ = canvas(grades, tmp_path)
    before = list(csv.reader(io.StringIO(CANVAS)))
    assert [row[:6] + row[7:] for row in rows] == [row[:6] + row[7:] for row in before]
    assert [row[6] for row in rows] == ["Exercises (501)", "Manual Posting", "9.50", "9.5", "4.5", "3", "EX", "", ""]


def test_canvas_says_who_was_left_out(grades, tmp_path):
    _, notes = canvas(grades, tmp_path)
    text = "\n".join(notes)
    assert "grace (Grace G.) was not graded and is left out: 03_embeddings.ipynb is not JSON" in text
    assert "carol (Carol C.) is left out" in text and "cannot be changed, or the student is excused" in text
    assert "frank (Frank F.) is left out: no row of the template is this student." in text
    assert "Student, Test" in text and "bob (Bob" not in text


def test_canvas_same_names_are_never_guessed(tmp_path):
    results = [
        paper("x", "Alice A.", (1, 0, 0)),
        paper("y", "Alice A.", (2, 0, 0)),
        paper("bob", "Somebody Else"),
        paper("carol", "Carol C."),
    ]
    write_csv(results, COURSE, tmp_path / "grades.csv")
    rows, notes = canvas(tmp_path / "grades.csv", tmp_path)
    assert [row[6] for row in rows[3:6]] == ["", "", "9.5"], "Bob by his login, before the @"
    assert [note for note in notes if "the same name or login could mean several students" in note][0].startswith("x (Alice A.)")


def test_canvas_another_number_is_another_person(tmp_path):
    write_csv(
        [paper("bob", "Bob B.", canvas_user="77"), paper("alice", "Alice A.", canvas_user="11")], COURSE, tmp_path / "grades.csv"
    )
    rows, notes = canvas(tmp_path / "grades.csv", tmp_path)
    assert rows[5][6] == "1.00", "a Bob B. who has another number is not our Bob"
    assert any(note.startswith("bob (Bob B.) is left out") for note in notes)


def test_a_student_without_marks_still_makes_a_name_ambiguous(tmp_path):
    results = [paper("x", "Bob B."), paper("y", "Bob B.", status="not graded")]
    write_csv(results, COURSE, tmp_path / "grades.csv")
    rows, notes = canvas(tmp_path / "grades.csv", tmp_path)
    assert rows[5][6] == "1.00" and any(note.startswith("x (Bob B.) is left out") for note in notes)
    text, _ = export(tmp_path / "grades.csv", "canvas")
    assert "Bob B." not in text


def test_two_with_the_same_number_are_never_guessed(tmp_path):
    write_csv([paper("x", "X", canvas_user="13"), paper("y", "Y", canvas_user="13")], COURSE, tmp_path / "grades.csv")
    rows, notes = canvas(tmp_path / "grades.csv", tmp_path)
    assert rows[5][6] == "1.00" and len([note for note in notes if "is left out" in note]) == 2


def test_who_was_not_graded_keeps_the_grade_that_is_there(tmp_path):
    write_csv([paper("b", "Bob B.", (0, 0, 0), "not graded", canvas_user="13")], COURSE, tmp_path / "grades.csv")
    rows, notes = canvas(tmp_path / "grades.csv", tmp_path)
    assert rows[5][6] == "1.00" and notes[0].startswith("b (Bob B.) was not graded")


def test_canvas_read_only_columns_are_no_assignments(grades, tmp_path):
    template = "Student,ID,Section,Exercises (501),Current Score (2025)\nPoints Possible,,,9.5,(read only)\nAlice A.,11,A,,50\n"
    assert canvas(grades, tmp_path, template, None)[0][2] == ["Alice A.", "11", "A", "9.5", "50"]


def test_canvas_scales_only_when_asked(grades, tmp_path):
    template = CANVAS.replace("9.50,10.00", "19.00,10.00")
    rows, notes = canvas(grades, tmp_path, template)
    assert rows[3][6] == "9.5" and "The maximum is 9.5 points here and 19 in" in notes[1] + notes[0]
    rows, notes = canvas(grades, tmp_path, template, scale=True)
    assert rows[3][6] == "19" and rows[4][6] == "9"


def test_canvas_with_semicolons_and_a_byte_order_mark_comes_back_the_same_way(grades, tmp_path):
    text, _ = export(grades, "canvas", _written(tmp_path, "\ufeffStudent;ID;Section;Exercises (501)\r\nBob B.;13;B;\r\n"))
    assert text == "\ufeffStudent;ID;Section;Exercises (501)\r\nBob B.;13;B;3\r\n"


def _written(tmp_path, text):
    (tmp_path / "template.csv").write_text(text, encoding="utf-8", newline="")
    return tmp_path / "template.csv"


@pytest.mark.parametrize(
    "assignment, sentence",
    [
        (None, "has several assignments"),
        ("Exam", "has no assignment 'Exam'; it has: Exercises (501); Essay"),
        ("Current Score", "has no assignment"),
    ],
)
def test_canvas_the_assignment_must_be_clear(grades, tmp_path, assignment, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        canvas(grades, tmp_path, assignment=assignment)
    assert canvas(grades, tmp_path, assignment="501")[0] == canvas(grades, tmp_path, assignment="Exercises (501)")[0]


def test_canvas_without_a_template(grades):
    text, notes = export(grades, "canvas", assignment="Exercises")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[:2] == [["Student", "ID", "Section", "Exercises"], ["    Points Possible", "", "", "9.5"]]
    assert ["Alice A.", "11", "", "9.5"] in rows and ["Alice A.", "12", "", "4.5"] in rows
    assert ["Grace G.", "", "", "0"] not in rows and any("no Canvas number" in note for note in notes)
    assert not re.search(r"^[=+@]", text, re.M)


# --- Moodle ---

MOODLE = """\
Identifier,"Full name","Email address",Status,Grade,"Maximum grade","Grade can be changed","Last modified (submission)",\
"Last modified (grade)","Feedback comments"
"Participant 77123","Bob B.",bob@uni.example,"Submitted for grading - ",,9.50,Yes,"Monday, 5 May 2025, 9:00 AM",-,"keep, this"
"Participant 77124","Alice A.",x@uni.example,"Submitted for grading - ",,9.50,Yes,"Monday, 5 May 2025, 9:00 AM",-,
"Participant 77125","Alice A.",y@uni.example,"Submitted for grading - ",,9.50,Yes,"Monday, 5 May 2025, 9:00 AM",-,
"Participant 77126","Carol C.",cc@uni.example,"Submitted for grading - ",5.00,9.50,No,"Monday, 5 May 2025, 9:00 AM",-,
"""


def moodle(results, tmp_path, template=MOODLE, **options):
    write_csv(results, COURSE, tmp_path / "grades.csv")
    text, notes = export(tmp_path / "grades.csv", "moodle", template and _written(tmp_path, template), **options)
    return list(csv.reader(io.StringIO(text, newline=""))), notes


def test_moodle_only_the_grades_change(tmp_path):
    results = [
        paper("b", "Bob B.", (2, 1, 0), moodle_participant="77123"),
        paper("a", "Alice A.", moodle_participant="77125"),
        paper("c", "Carol C.", moodle_participant="77126"),
    ]
    rows, notes = moodle(results, tmp_path)
    before = list(csv.reader(io.StringIO(MOODLE)))
    assert [row[:4] + row[5:] for row in rows] == [row[:4] + row[5:] for row in before]
    assert [row[4] for row in rows[1:]] == ["3", "", "9.5", "5.00"]
    assert any(note.startswith("c (Carol C.) is left out") for note in notes) and any("Alice A." in note for note in notes)


def test_moodle_a_worksheet_of_another_assignment_goes_by_mail_and_name(tmp_path):
    results = [paper("bob", "B.", (2, 1, 0), moodle_participant="1"), paper("z", "Alice A.", moodle_participant="2")]
    rows, notes = moodle(results, tmp_path)
    assert [row[4] for row in rows[1:]] == ["3", "", "", "5.00"]
    assert "z (Alice A.) is left out: the same name or login could mean several students." in notes


def test_moodle_marks_above_the_maximum_get_a_sentence(tmp_path):
    _, notes = moodle([paper("b", "Bob B.", moodle_participant="77123")], tmp_path, MOODLE.replace("9.50", "5.00"))
    assert any("The maximum is 9.5 points here and 5 in" in note for note in notes)
    assert "b (Bob B.): 9.5 is above the maximum; Moodle skips it." in notes


def test_moodle_in_another_language_takes_the_column_by_name(tmp_path):
    german = 'ID,"Vollständiger Name",Bewertung\n"Teilnehmer/in77123","Bob B.",\n'
    results = [paper("b", "Bob B.", moodle_participant="77123")]
    with pytest.raises(ValueError, match="name the column of the grades by --assignment"):
        moodle(results, tmp_path, german)
    assert moodle(results, tmp_path, german, assignment="Bewertung")[0][1] == ["Teilnehmer/in77123", "Bob B.", "9.5"]


def test_moodle_without_a_template(tmp_path):
    rows, notes = moodle([paper("b", "Bob B.", moodle_participant="77123"), paper("c", "Carol")], tmp_path, None)
    assert rows == [["Identifier", "Full name", "Grade", "Last modified (grade)"], ["Participant 77123", "Bob B.", "9.5", ""]]
    assert notes[0] == "c (Carol) is left out: there is no participant's number."
    rows, notes = moodle([paper("b", "Bob B.")], tmp_path, None, assignment="Exercises")
    assert rows == [["username", "name", "Exercises"], ["b", "Bob B.", "9.5"]] and "map username to username" in notes[0]


@pytest.mark.parametrize(
    "to, template, sentence",
    [
        ("canvas", MOODLE, "is no gradebook exported from Canvas"),
        ("moodle", CANVAS, "is no grading worksheet from Moodle"),
        ("blackboard", None, "there are: canvas, moodle"),
    ],
)
def test_what_does_not_fit_is_refused(grades, tmp_path, to, template, sentence):
    with pytest.raises(ValueError, match=sentence):
        export(grades, to, template and _written(tmp_path, template))
