"""The commands of an instructor: release, grade, grades, similar."""
import sys
from pathlib import Path


def add(commands):
    """Add them to the parser of the command ``plmcourse``."""
    release = commands.add_parser("release", help="make an nbgrader course directory and a zip for students (needs a clone of the repository)")
    release.add_argument("out", help="the course directory, new or made by an earlier release")
    release.add_argument("--notebooks", nargs="+", metavar="N", help='such as 3 4; all when left out')
    release.add_argument("--points", nargs="+", default=[], metavar="N.M=POINTS", help="what exercises are worth, such as 3.2=5")
    release.add_argument("--seed", type=int, help="varies the proteins and numbers of the checks under grading; drawn when left out")
    release.set_defaults(run=run_release)

    grade = commands.add_parser("grade", help="grade a class: a folder or a zip of submissions")
    grade.add_argument("submissions", help="a folder per student, a flat folder, or the zip that Canvas or Moodle exports")
    grade.add_argument("--course", required=True, metavar="DIR", help="the course directory that release made")
    grade.add_argument("-o", "--output", default="grades.csv", metavar="CSV", help="the table of marks (grades.csv); feedback lies beside it")
    grade.add_argument("--jobs", type=int, help="submissions at a time; as many as there are cores when left out")
    grade.add_argument("--seconds", type=float, default=600, help="for one submission (600)")
    grade.add_argument("--property-seconds", type=float, default=60, help="for one property of an exercise (60)")
    grade.add_argument("--fresh", action="store_true", help="grade all anew; without it, a run goes on where the last one ended")
    grade.add_argument("--unsafe", action="store_true", help="run the students' code without a sandbox, with all that you may do")
    grade.set_defaults(run=run_grade)

    grades = commands.add_parser("grades", help="turn a table of marks into what Canvas or Moodle imports")
    grades.add_argument("csv", help="what plmcourse grade wrote")
    grades.add_argument("--to", required=True, choices=("canvas", "moodle"))
    grades.add_argument("--template", metavar="CSV", help="the file that Canvas or Moodle exported, whose column of marks is filled")
    grades.add_argument("--assignment", help="the column to fill")
    grades.add_argument("--scale", action="store_true", help="scale to the maximum that the template gives")
    grades.add_argument("-o", "--output", metavar="CSV", help="where to write it; shown when left out")
    grades.set_defaults(run=run_grades)

    similar = commands.add_parser("similar", help="list pairs of submissions whose code agrees: to look at, not a verdict")
    similar.add_argument("submissions", help="as for grade")
    similar.add_argument("--exercises", nargs="+", metavar="N.M", help="all when left out")
    similar.set_defaults(run=run_similar)


def run_release(chosen):
    """Make a course directory."""
    from plmcourse.grading.release import release

    points = {}
    for price in chosen.points:
        number, _, worth = price.partition("=")
        try:
            points[number] = float(worth)
        except ValueError as error:
            raise ValueError(f"{price!r} is not of the form 3.2=5") from error
    course = release(chosen.out, chosen.notebooks, points, chosen.seed)
    print(f"{course.folder}: {', '.join(course.notebooks)}; {sum(course.points.values()):g} points; seed {course.seed}")
    print(f"students get {course.folder / 'students.zip'}")
    return 0


def run_grade(chosen):
    """Grade a class."""
    from plmcourse.grading import batch
    from plmcourse.grading.course import read_course
    from plmcourse.grading.sandbox import Limits

    limits = Limits(seconds=chosen.seconds, property_seconds=chosen.property_seconds)
    results = batch.grade(chosen.submissions, read_course(chosen.course), chosen.output, chosen.jobs, limits, not chosen.unsafe, chosen.fresh)
    print(batch.summary(results))
    for result in results:
        if result["status"] != "graded":
            print(f"  {result['student']}: {result['status']}. {result['reason']}")
    output = Path(chosen.output)
    print(f"marks in {output}, feedback in {output.with_name(f'{output.stem}_feedback')}, gradebook in {Path(chosen.course) / 'gradebook.db'}")
    return 0


def run_grades(chosen):
    """Turn marks into what a learning platform imports."""
    from plmcourse.grading.report import export

    text, notes = export(chosen.csv, chosen.to, chosen.template, chosen.assignment, chosen.scale)
    if chosen.output:
        Path(chosen.output).write_text(text, encoding="utf-8", newline="")
    else:
        print(text, end="")
    for note in notes:
        print(note, file=sys.stderr)
    return 0


def run_similar(chosen):
    """List pairs whose code agrees."""
    from plmcourse.grading.similar import listing, similar
    from plmcourse.grading.submissions import find

    print(listing(similar(find(chosen.submissions), chosen.exercises)))
    return 0
