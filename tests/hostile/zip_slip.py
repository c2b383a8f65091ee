"""An archive whose members climb out of their folder: over another student's notebook, into the home folder, to the root.

In the folder of a student the archive stands beside a notebook with one right answer; what the archive's notebooks answer is the
student's own, too, and may count. ``make_export`` writes a class's export, as
Canvas and Moodle name its files, with members of the same kind: there the student earns the same, or nothing.
"""
import io
import json
import stat
import zipfile

from hostile import CANARY, RIGHT, earns, notebook, only, write

EARNS = earns("3.1")
EARNS_AT_MOST = only("3.2", "3.3", "3.4")
EXPORT = True
CLIMBING = (
    "../victim/03_embeddings.ipynb", "../../{canary}.txt", "/tmp/{canary}.ipynb", "..\\..\\{canary}.ipynb", "C:\\{canary}.ipynb",
    "mallory_1_2_../../{canary}.ipynb", "Mallory M_77_assignsubmission_file_/../../{canary}.ipynb", "~/{canary}.ipynb",
    "a/./b/../../../{canary}.ipynb", "\x00{canary}.ipynb", "{canary}\n.ipynb", "//{canary}/share.ipynb",
)


def climb(archive, text):
    for name in CLIMBING:
        archive.writestr(zipfile.ZipInfo(name.format(canary=CANARY)), text)
    link = zipfile.ZipInfo("link.ipynb")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive.writestr(link, "/etc/passwd")


def make(folder):
    write(folder, {"3.1": RIGHT["3.1"]})
    with zipfile.ZipFile(folder / "03_embeddings.zip", "w") as archive:
        climb(archive, json.dumps(notebook(folder, RIGHT)))


def make_export(path):
    """An export in which student mallory hands in a plain notebook, and other members climb."""
    text = io.StringIO()
    json.dump(notebook(path.parent / "mallory", {"3.1": RIGHT["3.1"]}), text)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mallory_4711_815_03_embeddings.ipynb", text.getvalue())
        climb(archive, text.getvalue())
