"""The instructors' guide: its commands exist, its outputs can be pasted, and the class that it shows is what it says."""
import argparse
import io
import re
import shlex
import sys
import zipfile

import build_guide
import pytest
from build_guide import BLOCK, GUIDE, ROOT, fill, hand_in, page, tidy

from plmcourse.grading import commands, report
from plmcourse.grading.course import Course
from plmcourse.grading.submissions import find

TEXT = GUIDE.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.+)$", TEXT, re.M)


def parser():
    whole = argparse.ArgumentParser(prog="plmcourse", exit_on_error=False)
    commands.add(whole.add_subparsers(required=True))
    return whole


def problem(command):
    """Why the parser does not take a command, or None."""
    try:
        parser().parse_args(shlex.split(command)[1:])
    except (SystemExit, argparse.ArgumentError) as error:
        return f"{command}: {error}"
    return None


def test_every_command_of_ours_parses():
    shown = [command for command in COMMANDS if command.startswith("plmcourse ")]
    assert {shlex.split(command)[1] for command in shown} == {"release", "grade", "grades", "similar"}
    assert [problem(command) for command in shown if problem(command)] == []


def test_every_command_in_the_text_parses():
    said = re.findall(r"`(plmcourse (?:release|grade|grades|similar) [^`]+)`", TEXT)
    said = [command.replace("…", "1") for command in said]
    assert said and [problem(command) for command in said if problem(command)] == []


def test_a_command_that_is_not_there_is_noticed():
    assert problem("plmcourse grade submissions.zip --course course --sandboxed")
    assert problem("plmcourse marks grades.csv")
    assert problem("plmcourse grades grades.csv --to ilias")


def test_every_option_in_the_text_exists():
    options = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert {"--unsafe", "--fresh", "--seconds", "--property-seconds", "--jobs", "--template", "--scale", "--seed"} <= options
    known = {option for one in parser()._subparsers._group_actions[0].choices.values() for option in one._option_string_actions}
    assert options <= known


def test_the_limits_in_the_text_are_those_of_the_sandbox():
    from plmcourse.grading.sandbox import Limits

    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \| (?:`--|fixed)", TEXT, re.M))
    limits = Limits()
    assert rows["one submission"] == f"{limits.seconds} seconds"
    assert rows["one property of an exercise"] == f"{limits.property_seconds} seconds"
    assert rows["memory"].startswith(f"{limits.memory // 2**30} GiB")
    assert rows["disk"].startswith(f"{limits.disk // 2**20} MiB")
    assert rows["processes"] == str(limits.processes)


def test_outputs_are_there_and_name_no_machine():
    blocks = [found for _, found in BLOCK.findall(TEXT)]
    assert len(blocks) >= 8
    for block in blocks:
        assert block.strip() and not re.search(r"^\$ .+\n(\$|\Z)", block, re.M), f"a command without output: {block}"
    assert not build_guide.BAR.search("".join(blocks)) and sys.prefix not in TEXT and str(ROOT) not in TEXT


def test_marks_in_the_text_are_those_of_the_class():
    """Ada is right, Ben untouched, Chen partly right, Dora calls the package, Emil's file is broken."""
    rows = dict(re.findall(r"^(\w+)_100\d,\w+,([\d.,]+),12,(?:graded|odd|not graded)", TEXT, re.M))
    assert rows == {"ada": "4,3,3,2,12", "ben": "0,0,0,0,0", "chen": "2,1,3,2,8", "dora": "0,0,3,2,5", "emil": "0,0,0,0,0"}
    assert "0 graded" not in TEXT and "chen_1003  dora_1004" in re.sub(" {2,}", "  ", TEXT)


def test_the_class_is_found(tmp_path):
    (tmp_path / "submissions.zip").write_bytes(hand_in())
    found = {submission.student: submission for submission in find(tmp_path / "submissions.zip")}
    assert sorted(found) == ["ada_1001", "ben_1002", "chen_1003", "dora_1004", "emil_1005"]
    assert all(len(submission.files) == 1 for submission in found.values())
    assert [name for name, submission in found.items() if submission.notes] == ["chen_1003"]
    dora = found["dora_1004"].files[0].read().decode()
    assert dora.count("write your answer here") == 1 and "return pc.mean_pool(hidden, tokens)" in dora
    assert hand_in() == hand_in(), "the same class each time"


def test_an_answer_without_a_stub_is_refused(monkeypatch):
    monkeypatch.setattr(build_guide, "STUB", "raise SomethingElse()")
    with pytest.raises(ValueError, match="exercise 3.1: there is no stub"):
        build_guide.answered(build_guide.CHEN)


def test_outputs_are_replaced_and_text_stays(tmp_path):
    template = "A\n```console\n$ one\nold\n$ two x\nold\n```\nB\n```sh\n$ not run\n```\n"
    seen = []

    def run(command, folder):
        seen.append((command, folder))
        return f"new from {command}" if command == "one" else ""

    filled = fill(template, tmp_path, run)
    assert filled == "A\n```console\n$ one\nnew from one\n$ two x\n```\nB\n```sh\n$ not run\n```\n"
    assert seen == [("one", tmp_path), ("two x", tmp_path)]
    assert fill(filled, tmp_path, run) == filled


def test_commands_run_in_the_folder_and_failures_stop(tmp_path):
    assert build_guide.run("pwd; echo here >&2; touch made", tmp_path) == ".\nhere" and (tmp_path / "made").exists()
    with pytest.raises(ValueError, match="'exit 3' failed"):
        build_guide.run("exit 3", tmp_path)


def test_bars_and_paths_are_dropped(tmp_path):
    bar = "grading:   0%|          | 0/5 [00:00<?, ?submission/s]\rgrading: 100%|█| 5/5 [02:34<00:00, 30.88s/submission]\n"
    assert tidy(f"{bar}\ufeffstudent\nin {tmp_path}/course: 50% of\n\nend\n", tmp_path) == "student\nin course: 50% of\n\nend"


def test_a_page_becomes_lines(tmp_path):
    parts = [{"title": "shape", "points": 0.0, "of": 0.0, "passed": True, "message": None, "case": None},
             {"title": "one protein", "points": 1.0, "of": 1.0, "passed": True, "message": None, "case": None},
             {"title": "batch", "points": 0.0, "of": 2.0, "passed": False, "message": "No <eos>.", "case": "[3, 5]"}]
    result = {"student": "a", "name": "Ada", "lms": {}, "status": "odd", "reason": "Late.",
              "notebooks": {"03_embeddings": {"file": "03_embeddings.ipynb", "notes": []}},
              "exercises": {"3.2": {"points": 1.0, "of": 3, "status": "partly", "message": None, "properties": parts}}}
    course = Course(tmp_path, 1, {"03_embeddings": ["3.2"]}, {"3.2": 3})
    lines = page(report.write_feedback(result, course, tmp_path)).splitlines()
    assert lines[-8:-1] == ["✗ Exercise 3.2 partly right 1 of 3", "  ✓ shape", "  ✓ one protein 1 of 1", "  ✗ batch 0 of 2", "      No <eos>.",
                            "      Smallest case:", "      [3, 5]"]
    assert "Something was odd. Late." in lines


def test_the_zip_is_as_canvas_names_it():
    names = zipfile.ZipFile(io.BytesIO(hand_in())).namelist()
    assert any("_LATE_" in name for name in names) and len(names) == 6
