"""Finding submissions: whose is what, and nothing that a student packs does harm."""
import io
import os
import pickle
import random
import re
import stat
import struct
import time
import tracemalloc
import warnings
import zipfile
from contextlib import contextmanager

import pytest
from conftest import ROOT

from plmcourse.grading import submissions
from plmcourse.grading.submissions import NOTEBOOKS, find

RIGHT_TO_LEFT = "\u202e"


def write(folder, **files):
    """Files from path to text, "/" written as it is."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def tree(folder, *names):
    """Each file holds its own path."""
    write(folder, **{name: name for name in names})
    return folder


def packed(path, *names):
    """A zip in which each member holds its own name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def zip_bytes(*names):
    return packed(io.BytesIO(), *names).getvalue()


def summary(found):
    """Student -> names of files."""
    return {one.student: [file.name for file in one.files] for one in found}


def contents(found):
    return {one.student: [file.read().decode() for file in one.files] for one in found}


# --- the forms that are known ---

def test_notebooks_are_those_of_the_course():
    assert list(NOTEBOOKS) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


MOODLE = "Alice Adams_77123_assignsubmission_file_"
FORMS = {
    "a folder per student": (["alice/03_embeddings.ipynb", "alice/week 2/deep/06_lora.ipynb", "bob/06_lora.ipynb"], {
        "alice": ["03_embeddings.ipynb", "week 2/deep/06_lora.ipynb"], "bob": ["06_lora.ipynb"]}),
    "nbgrader": (["alice/03_embeddings/03_embeddings.ipynb", "alice/06_lora/06_lora.ipynb", "alice/06_lora/timestamp.txt",
                  "bob/06_lora/06_lora.ipynb"], {
        "alice": ["03_embeddings/03_embeddings.ipynb", "06_lora/06_lora.ipynb"], "bob": ["06_lora/06_lora.ipynb"]}),
    "nbgrader's course": (["submitted/alice/06_lora/06_lora.ipynb", "source/06_lora/06_lora.ipynb", "gradebook.db"], {
        "alice": ["06_lora/06_lora.ipynb"]}),
    "flat, student first": (["alice_03_embeddings.ipynb", "alice_06_lora.ipynb", "bob_03_embeddings.ipynb"], {
        "alice": ["alice_03_embeddings.ipynb", "alice_06_lora.ipynb"], "bob": ["bob_03_embeddings.ipynb"]}),
    "flat, notebook first": (["03_embeddings_alice.ipynb", "03-Embeddings-bob.ipynb", "03_embeddings - Alice A.ipynb"], {
        "Alice_A": ["03_embeddings - Alice A.ipynb"], "alice": ["03_embeddings_alice.ipynb"],
        "bob": ["03-Embeddings-bob.ipynb"]}),
    "flat, student only": (["alice.ipynb", "bob.s.ipynb", "1234.IPYNB"], {
        "1234": ["1234.IPYNB"], "alice": ["alice.ipynb"], "bob.s": ["bob.s.ipynb"]}),
    "flat, numbered": (["student_03_embeddings_17.ipynb", "student_03_embeddings_18.ipynb", "alice_2024_03_embeddings.ipynb"], {
        "alice_2024": ["alice_2024_03_embeddings.ipynb"], "student_17": ["student_03_embeddings_17.ipynb"],
        "student_18": ["student_03_embeddings_18.ipynb"]}),
    "flat, a course's number and a group": (["alice_2024_101_03_embeddings.ipynb", "bob_2024_101_03_embeddings.ipynb"], {
        "alice_2024_101": ["alice_2024_101_03_embeddings.ipynb"], "bob_2024_101": ["bob_2024_101_03_embeddings.ipynb"]}),
    "Canvas": (["adamsalice_12345_678901_03_embeddings.ipynb", "adamsalice_12345_678955_final-2.ipynb",
                "adamsalice_12345_678950_final-1.ipynb", "adamsalice_99_678960_03_embeddings.ipynb",
                "bobson_LATE_77_678970_03_embeddings-10.ipynb", "bobson_LATE_77_678965_03_embeddings-9.ipynb"], {
        "adamsalice_12345": ["03_embeddings.ipynb", "final-1.ipynb", "final-2.ipynb"], "adamsalice_99": ["03_embeddings.ipynb"],
        "bobson_77": ["03_embeddings-9.ipynb", "03_embeddings-10.ipynb"]}),
    "Moodle, folders": ([f"{MOODLE}/03_embeddings.ipynb", "Alice Adams_77124_assignsubmission_file/03_embeddings.ipynb",
                         "Alice Adams_77123_assignsubmission_onlinetext_/onlinetext.html"], {
        "Alice_Adams_77123": ["03_embeddings.ipynb"], "Alice_Adams_77124": ["03_embeddings.ipynb"]}),
    "Moodle, flat": ([f"{MOODLE}03_embeddings.ipynb", "Bob_5_assignsubmission_file_x.ipynb",
                      "Bob_5_assignsubmission_onlinetext_onlinetext.ipynb"], {
        "Alice_Adams_77123": ["03_embeddings.ipynb"], "Bob_5": ["x.ipynb"]}),
    "a folder for each notebook": (["03_embeddings/alice.ipynb", "03_embeddings/bob/any.ipynb",
                                    "06_lora/adamsalice_12345_678901_06_lora.ipynb"], {
        "adamsalice_12345": ["06_lora/06_lora.ipynb"], "alice": ["03_embeddings/alice.ipynb"],
        "bob": ["03_embeddings/any.ipynb"]}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["folder", "zip", "zip of a folder"])
def test_every_form_is_understood(tmp_path, form, how):
    names, expected = FORMS[form]
    path = tree(tmp_path / "class", *names)
    if how != "folder":
        inside = "class/" if how == "zip of a folder" else ""
        path = packed(tmp_path / "class.zip", *(inside + name for name in names))
    found = find(path)
    assert summary(found) == expected
    assert sum(len(one.files) for one in found) == len({file.read() for one in found for file in one.files})
    for one in found:
        for file in one.files:
            assert file.read().decode().endswith(file.name.split("/")[-1]) and file.size == len(file.read())


def test_numbers_of_the_lms_and_names_for_people(tmp_path):
    canvas, = find(tree(tmp_path / "c", "adamsalice_LATE_12345_678901_03_embeddings-1.ipynb"))
    moodle, = find(tree(tmp_path / "m", f"{MOODLE}/03_embeddings.ipynb"))
    assert (canvas.name, canvas.lms) == ("adamsalice", {"canvas_user": "12345"})
    assert (moodle.name, moodle.lms) == ("Alice Adams", {"moodle_participant": "77123"})


def test_one_student_in_a_class_folder_stays_one(tmp_path):
    assert summary(find(tree(tmp_path / "a", "alice/03_embeddings.ipynb", "alice/06_lora/06_lora.ipynb"))) == {
        "alice": ["03_embeddings.ipynb", "06_lora/06_lora.ipynb"]}
    assert summary(find(packed(tmp_path / "alice.zip", "alice/03_embeddings.ipynb"))) == {"alice": ["03_embeddings.ipynb"]}
    found = find(tree(tmp_path / "b", "course/alice/06_lora.ipynb", "course/bob/06_lora.ipynb"))
    assert summary(found) == {"alice": ["06_lora.ipynb"], "bob": ["06_lora.ipynb"]}, "a folder around the whole class"


def test_modified_is_that_of_the_file_or_the_zip(tmp_path):
    path = tree(tmp_path / "class", "alice.ipynb")
    os.utime(path / "alice.ipynb", (1e9, 1e9))
    assert find(path)[0].files[0].modified == 1e9
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("alice.ipynb", (2026, 1, 2, 3, 4, 6)), "")
        archive.writestr(zipfile.ZipInfo("bob.ipynb", (1980, 0, 0, 0, 0, 0)), "")
    times = {one.student: one.files[0].modified for one in find(tmp_path / "class.zip")}
    assert times == {"alice": time.mktime((2026, 1, 2, 3, 4, 6, 0, 0, -1)), "bob": 0}


# --- ids ---

NAMES = ["Zoë Müller", "Zoe Muller", "Zoe_Muller", "alice", "Alice", "ALICE", "李雷", "韩梅梅", "محمد", "🧬", "🧬🧬", "CON",
         "aux.txt", "nul", "a" * 200, "a" * 199, "-rf", "--help", ".hidden", "..x", "a b", "a  b", "a_b",
         f"x{RIGHT_TO_LEFT}gpj", "=1+1", "@sum", "a\tb"]


def test_ids_are_unique_safe_and_do_not_depend_on_the_order(tmp_path):
    random.Random(0).shuffle(names := list(NAMES))
    path = tree(tmp_path / "class", *(f"{name}/03_embeddings.ipynb" for name in names))
    found = find(path)
    zipped = find(packed(tmp_path / "class.zip", *(f"{name}/03_embeddings.ipynb" for name in sorted(names))))
    assert {one.student: one.name for one in found} == {one.student: one.name for one in zipped}
    assert len({one.student.casefold() for one in found}) == len(NAMES)
    for one in found:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", one.student) and len(one.student) <= 80, one.student
        assert one.student.casefold().split(".")[0] not in submissions.RESERVED
        assert "\n" not in one.name and RIGHT_TO_LEFT not in one.name and "\t" not in one.name
    assert {"alice", "Zoe_Muller", "a_b"} & {one.student for one in found} == {"alice", "a_b"}
    assert [one.student for one in found] == sorted(one.student for one in found)
    for one in found:
        assert one.files[0].read().decode() == f"{one.files[0].read().decode().split('/')[0]}/03_embeddings.ipynb"


def test_an_id_stays_when_others_come(tmp_path):
    for name in NAMES:
        if name not in ("Alice", "ALICE", "Zoe Muller", "Zoe_Muller", "a b", "a_b"):  # plain but for case or a space
            alone = find(tree(tmp_path / str(NAMES.index(name)), f"{name}/06_lora.ipynb"))[0].student
            path = tree(tmp_path / f"{NAMES.index(name)} all", *(f"{other}/06_lora.ipynb" for other in NAMES))
            assert alone in summary(find(path)), name


def test_one_name_in_two_unicode_forms_is_one_student(tmp_path):
    found = find(packed(tmp_path / "class.zip", "Zo\u00eb/03_embeddings.ipynb", "Zoe\u0308/06_lora.ipynb"))
    assert [len(one.files) for one in found] == [2]


def test_a_name_that_looks_like_an_id_with_a_suffix_takes_nobodys_id(tmp_path):
    first = find(tree(tmp_path / "a", "Zoë/x.ipynb"))[0].student
    names = ["Zoë/x.ipynb", f"{first}/x.ipynb", "alice_7/x.ipynb", "Alice_7_assignsubmission_file_/x.ipynb"]
    found = find(tree(tmp_path / "b", *names))
    assert len({one.student.casefold() for one in found}) == 4


def test_names_that_are_no_unicode(tmp_path):
    names = [b"al\xefce", b"al\xeece"]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    found = find(tmp_path)
    assert len(found) == 2 and all(one.name.encode() and one.student.isascii() for one in found)


def test_zip_names_in_utf8_without_the_flag(tmp_path):
    path = packed(tmp_path / "class.zip", "XXXXX/x.ipynb", "bob/x.ipynb")
    path.write_bytes(path.read_bytes().replace(b"XXXXX", "Zoë ".encode()))
    assert "Zoë " in {one.name for one in find(path)}


# --- odd things ---

def test_what_systems_leave_is_ignored_quietly_and_the_rest_with_a_note(tmp_path):
    names = ["alice/.ipynb_checkpoints/03_embeddings-checkpoint.ipynb", "alice/._03_embeddings.ipynb", "alice/.DS_Store",
             "__MACOSX/alice/._03_embeddings.ipynb", "bob/answer.py", "bob/a.pdf", "alice/03_embeddings.ipynb", ".DS_Store"]
    for path in (tree(tmp_path / "class", *names), packed(tmp_path / "class.zip", *names)):
        alice, bob = find(path)
        assert (summary([alice]), alice.notes) == ({"alice": ["03_embeddings.ipynb"]}, ())
        assert bob.files == () and bob.notes == ("Ignored, being no notebook: 'a.pdf', 'answer.py'.", "There is no notebook.")


def test_an_empty_folder_is_a_submission_without_files(tmp_path):
    (tmp_path / "class" / "bob").mkdir(parents=True)
    packed(tmp_path / "class.zip", "bob/")
    for path in (tmp_path / "class", tmp_path / "class.zip"):
        bob, = find(path)
        assert (bob.student, bob.files, bob.notes) == ("bob", (), ("There is no notebook.",))


def test_a_file_of_nobody_is_a_warning(tmp_path):
    path = tree(tmp_path / "class", "alice.ipynb", "03_embeddings.ipynb", "grades.csv")
    with pytest.warns(UserWarning) as warned:
        assert summary(find(path)) == {"alice": ["alice.ipynb"]}
    assert sorted(str(one.message) for one in warned) == [
        "'03_embeddings.ipynb' does not say whose it is and was left out.",
        "'grades.csv' does not say whose it is and was left out."]


@pytest.mark.parametrize("make, words", [
    (lambda path: None, "does not exist"),
    (lambda path: path.mkdir(), "holds no submissions"),
    (lambda path: path.write_text("no zip"), "neither a folder nor a zip"),
    (lambda path: os.mkfifo(path), "neither a folder nor a zip"),
    (lambda path: packed(path), "holds no submissions"),
    (lambda path: path.write_bytes(zip_bytes("alice.ipynb")[:-30]), "neither a folder nor a zip"),
])
def test_nothing_to_find_is_a_sentence(tmp_path, make, words):
    make(tmp_path / "class")
    with pytest.raises(ValueError, match=words) as raised:
        find(tmp_path / "class")
    assert "class" in str(raised.value) and str(raised.value).endswith(".")


def test_a_name_that_reads_two_ways_does_not_replace_another_submission(tmp_path):
    # the second is of a student who is named adamsalice_12_9999, or of adamsalice, who named the file 13_1002_…
    names = ["adamsalice_12_1001_03_embeddings.ipynb", "adamsalice_12_9999_13_1002_03_embeddings.ipynb"]
    alice, = find(tree(tmp_path / "class", *names))
    assert alice.files[-1].read().decode() == names[0] and "two ways" in alice.notes[0]
    names = ["A_7_assignsubmission_file_x.ipynb", "A_7_assignsubmission_file_B_8_assignsubmission_file_x.ipynb"]
    alice, = find(tree(tmp_path / "moodle", *names))
    assert alice.files[-1].read().decode() == names[0] and "two ways" in alice.notes[0]
    folder = "A_7_assignsubmission_file_B_8_assignsubmission_file_"  # as a folder, the end is Moodle's
    assert find(tree(tmp_path / "folders", f"{folder}/x.ipynb"))[0].lms == {"moodle_participant": "8"}


# --- a student's own zip ---

def test_a_student_s_zip_is_looked_into_one_level(tmp_path):
    write(tmp_path, **{"class/alice/note.txt": "", "class/adams.ipynb": ""})
    inner = zip_bytes("work/03_embeddings.ipynb", "06_lora.ipynb", "a.py", "__MACOSX/._a.ipynb")
    deep = io.BytesIO(inner)
    with zipfile.ZipFile(deep, "a") as archive:
        archive.writestr("more.zip", zip_bytes("05_fine_tuning.ipynb"))
    (tmp_path / "class/alice/all.zip").write_bytes(deep.getvalue())
    (tmp_path / "class/bob_03_embeddings.zip").write_bytes(inner)
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for path in ("alice/note.txt", "adams.ipynb", "alice/all.zip", "bob_03_embeddings.zip"):
            archive.write(tmp_path / "class" / path, path)
    for path in (tmp_path / "class", tmp_path / "class.zip"):
        adams, alice, bob = find(path)
        assert [file.name for file in alice.files] == ["all.zip/06_lora.ipynb", "all.zip/work/03_embeddings.ipynb"]
        assert [file.read() for file in alice.files] == [b"06_lora.ipynb", b"work/03_embeddings.ipynb"]
        assert "'all.zip/more.zip' is a zip inside a zip and was not opened." in alice.notes
        assert "'all.zip/a.py'" in " ".join(alice.notes) and len(bob.files) == 2 and bob.student == "bob"


def test_the_export_of_a_class_is_not_taken_for_one_student(tmp_path):
    write(tmp_path, **{"class/alice.ipynb": ""})
    (tmp_path / "class" / "export.zip").write_bytes(zip_bytes(f"{MOODLE}/x.ipynb", "Bob_5_assignsubmission_file_/x.ipynb"))
    alice, export = find(tmp_path / "class")
    assert export.files == () and "export of a whole class" in export.notes[0]


@pytest.mark.parametrize("content, words", [
    (b"no zip", "damaged"), (b"", "damaged"), (zip_bytes("x.ipynb")[:-9], "damaged"),
    (zip_bytes(*(f"{number}.ipynb" for number in range(10_001))), "more than 10,000 files"),
])
def test_a_student_s_zip_that_cannot_be_opened_is_a_note(tmp_path, content, words):
    write(tmp_path, **{"class/alice/03_embeddings.ipynb": ""})
    (tmp_path / "class/alice/all.zip").write_bytes(content)
    alice, = find(tmp_path / "class")
    assert len(alice.files) == 1 and "'all.zip' was not opened" in alice.notes[0] and words in alice.notes[0]


# --- hostile ---

def member(name, mode=None, **fields):
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode or 0) << 16
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def test_links_and_pipes_on_disk_are_neither_followed_nor_waited_for(tmp_path):
    secret = tree(tmp_path / "secret", "gradebook.ipynb")
    path = tree(tmp_path / "class", "alice/03_embeddings.ipynb")
    (path / "alice" / "stolen.ipynb").symlink_to(secret / "gradebook.ipynb")
    (path / "alice" / "folder").symlink_to(secret)
    (path / "alice" / "round").symlink_to(path)
    (path / "bob").symlink_to(path / "alice")
    (path / "eve_03_embeddings.ipynb").symlink_to(path / "alice" / "03_embeddings.ipynb")
    os.mkfifo(path / "alice" / "pipe.ipynb")
    alice, bob, eve = find(path)
    assert [file.name for file in alice.files] == ["03_embeddings.ipynb"]
    assert sorted(alice.notes) == ["'folder' is a symbolic link and was not followed.",
                                   "'pipe.ipynb' is neither a file nor a folder and was not opened.",
                                   "'round' is a symbolic link and was not followed.",
                                   "'stolen.ipynb' is a symbolic link and was not followed."]
    assert bob.files == eve.files == () and "symbolic link" in bob.notes[0] and "symbolic link" in eve.notes[0]


def test_a_file_that_becomes_a_link_or_a_pipe_later_is_not_read(tmp_path):
    secret = tree(tmp_path / "secret", "gradebook.ipynb")
    path = tree(tmp_path / "class", "alice.ipynb", "bob.ipynb")
    alice, bob = find(path)
    for name in ("alice", "bob"):
        (path / f"{name}.ipynb").unlink()
    (path / "alice.ipynb").symlink_to(secret / "gradebook.ipynb")
    os.mkfifo(path / "bob.ipynb")
    with pytest.raises(OSError):
        alice.files[0].read()
    with pytest.raises(ValueError, match="not a regular file"):
        bob.files[0].read()


def test_links_devices_and_encrypted_members_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        archive.writestr(member("alice/link.ipynb", stat.S_IFLNK | 0o777), "/etc/passwd")
        archive.writestr(member("alice/pipe.ipynb", stat.S_IFIFO | 0o666), "")
        archive.writestr(member("alice/locked.ipynb"), "x" * 20)
        archive.writestr(member("alice/slow.ipynb", compress_type=zipfile.ZIP_BZIP2), "x" * 20)
        archive.writestr(member("alice/fine.ipynb"), "fine")
    content = bytearray((tmp_path / "class.zip").read_bytes())
    place = content.rindex(b"alice/locked.ipynb") - 46  # its entry in the list at the end
    content[place + 8] |= 1
    (tmp_path / "class.zip").write_bytes(content)
    alice, = find(tmp_path / "class.zip")
    assert contents([alice]) == {"alice": ["fine"]}
    assert sorted(alice.notes) == [
        "'link.ipynb' is a symbolic link and was not followed.", "'locked.ipynb' is encrypted and cannot be read.",
        "'pipe.ipynb' is neither a file nor a folder and was not opened.",
        "'slow.ipynb' is compressed in a way that is not read here."]


def test_paths_that_lead_outside(tmp_path):
    names = ["../../up.ipynb", "/etc/x.ipynb", "C:\\x.ipynb", "alice/../bob/stolen.ipynb", "..\\..\\b.ipynb"]
    with pytest.warns(UserWarning, match="leads outside") as warned:
        found = find(packed(tmp_path / "class.zip", *names, "alice\\03_embeddings.ipynb", "bob/./06_lora.ipynb"))
    assert len(warned) == len(names) and summary(found) == {"alice": ["03_embeddings.ipynb"], "bob": ["06_lora.ipynb"]}
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "alice.zip").write_bytes(zip_bytes("03_embeddings.ipynb", *names))
    alice, = find(tmp_path / "class")
    assert len(alice.files) == 6 and all(".." not in file.name.split("/") for file in alice.files)
    assert sum("leads outside" in note for note in alice.notes) == len(names)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["alice.zip", "class", "class.zip"], "nothing is extracted"


def test_members_of_one_name(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns who writes such a zip
        with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
            archive.writestr("alice/03_embeddings.ipynb", "first")
            archive.writestr("bob/03_embeddings.ipynb", "bob")
            archive.writestr("alice/03_embeddings.ipynb", "last")
    alice, bob = find(tmp_path / "class.zip")
    assert contents([alice, bob]) == {"alice": ["last"], "bob": ["bob"]}
    assert alice.notes == ("'03_embeddings.ipynb' is in the zip more than once; the last one counts.",) and bob.notes == ()


def test_names_that_become_equal_are_told_apart(tmp_path):
    found, = find(packed(tmp_path / "class.zip", "alice/a.ipynb", f"alice/a{RIGHT_TO_LEFT}.ipynb", "alice/\x07a.ipynb"))
    assert len({file.name for file in found.files}) == 3 == len({file.read() for file in found.files})


def bomb(path, size=40_000_000):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("alice/bomb.ipynb", b"\0" * size)
        archive.writestr("alice/fine.ipynb", "fine")
    return path


@contextmanager
def held_less_than(limit):
    """What is done inside never makes Python hold more bytes."""
    tracemalloc.start()
    try:
        yield
    finally:
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert held < limit


def test_a_zip_bomb_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 4_000_000)
    honest = bomb(tmp_path / "honest.zip")
    lying = tmp_path / "lying.zip"
    lying.write_bytes(honest.read_bytes().replace(struct.pack("<L", 40_000_000), struct.pack("<L", 1_000)))
    for path in (honest, lying):
        files = find(path)[0].files

        with pytest.raises(ValueError, match="larger than 4 MB|damaged inside its zip"), held_less_than(12_000_000):
            files[0].read()
        assert files[1].read() == b"fine"


def test_a_file_on_disk_beyond_the_limit(tmp_path):
    path = tree(tmp_path / "class", "alice.ipynb", "bob.ipynb")
    os.truncate(path / "alice.ipynb", submissions.LARGEST + 1)  # holes, not bytes
    alice, bob = find(path)
    with pytest.raises(ValueError, match="'alice.ipynb' is larger than 300 MB."):
        alice.files[0].read()
    assert bob.files[0].read() == b"bob.ipynb"


def test_a_bomb_in_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 4_000_000)
    (tmp_path / "class").mkdir()
    bomb(tmp_path / "class" / "alice.zip")
    with zipfile.ZipFile(tmp_path / "class" / "bob.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("deep.zip", (tmp_path / "class" / "alice.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "class.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eve.zip", b"\0" * 40_000_000)
        archive.write(tmp_path / "class" / "alice.zip", "alice.zip")
    alice, bob = find(tmp_path / "class")
    assert "zip inside a zip" in bob.notes[0] and alice.files[1].read() == b"fine"
    with held_less_than(12_000_000):
        found = find(tmp_path / "class.zip")
    assert "larger than 4 MB" in found[1].notes[0] and found[0].files[1].read() == b"fine"


def test_a_damaged_member_is_a_sentence_and_spares_the_others(tmp_path):
    path = packed(tmp_path / "class.zip", "alice.ipynb", "bob.ipynb")
    content = bytearray(path.read_bytes())
    content[30 + len("alice.ipynb")] ^= 0xFF
    path.write_bytes(content)
    alice, bob = find(path)
    with pytest.raises(ValueError, match="'alice.ipynb' is damaged inside its zip"):
        alice.files[0].read()
    assert bob.files[0].read() == b"bob.ipynb"


def test_notes_on_one_student_are_limited(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        for number in range(200):
            archive.writestr(member(f"alice/{number}.ipynb", stat.S_IFLNK), "x")
    alice, = find(tmp_path / "class.zip")
    assert len(alice.notes) == submissions.MOST_NOTES + 2 and "170 more" in alice.notes[-2]


def test_paths_too_long_for_the_system(tmp_path):
    path = tree(tmp_path / "class", "alice/03_embeddings.ipynb")
    here = os.getcwd()
    try:
        os.chdir(path / "alice")
        for _ in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    alice, = find(path)
    assert len(alice.files) == 1 and any("cannot be opened" in note and len(note) < 300 for note in alice.notes)


# --- many ---

def test_five_hundred_students(tmp_path):
    names = [f"student{number:03}/{notebook}.ipynb" for number in range(500) for notebook in NOTEBOOKS]
    random.Random(1).shuffle(names)
    found = find(packed(tmp_path / "class.zip", *names))
    assert len(found) == 500 and all(len(one.files) == 8 and one.notes == () for one in found)
    assert all(file.read().decode() == f"{one.student}/{file.name}" for one in found[::5] for file in one.files)


def test_a_file_can_be_read_in_another_process(tmp_path):
    alice, = find(packed(tmp_path / "class.zip", "alice.ipynb"))
    assert alice.files[0].read() == b"alice.ipynb" == pickle.loads(pickle.dumps(alice)).files[0].read()
    place = submissions._Place(str(tmp_path / "class.zip"))
    ours = submissions._archive(place)
    child = os.fork()
    if not child:  # two processes that share an open file move each other's place in it
        os._exit(0 if alice.files[0].read() == b"alice.ipynb" and submissions._archive(place) is not ours else 1)
    assert submissions._archive(place) is ours
    assert os.waitpid(child, 0)[1] == 0 and alice.files[0].read() == b"alice.ipynb"
