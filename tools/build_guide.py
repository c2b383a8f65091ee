"""Paste real outputs into docs/instructors.md.

    python tools/build_guide.py

The guide is its own template. In a block that begins with ```console, each line "$ command" is run, one after the other in one
temporary folder, and what follows it is replaced by what the command prints. A block that begins with ```feedback FILE gets the
text of that page. The folder holds submissions.zip, a small class as Canvas exports it, and canvas.csv, its gradebook. A command
that fails stops the build.
"""
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bs4 import BeautifulSoup
from notebook_source import ROOT, STUB

GUIDE = ROOT / "docs" / "instructors.md"
NOTEBOOK = "03_embeddings"
BLOCK = re.compile(r"^```(console|feedback [^\n]+)\n(.*?)^```$", re.M | re.S)
BAR = re.compile(r"\d+%\||\d+(submission|it) \[")  # what tqdm draws

# the commands of a checkout, whether it is installed or not
SHELL = f"""plmcourse() {{ "{sys.executable}" -m plmcourse.cli "$@"; }}
python() {{ "{sys.executable}" "$@"; }}
nbgrader() {{ "{sys.executable}" -m nbgrader "$@"; }}
"""

# what Canvas exports, abridged
CANVAS = """Student,ID,SIS Login ID,Section,Homework 3 (9001)
    Points Possible,,,,10
"Adeyemi, Ada",1001,ada,A,
"Brown, Ben",1002,ben,A,
"Li, Chen",1003,chen,A,
"Diaz, Dora",1004,dora,A,
"Ek, Emil",1005,emil,A,
"Fox, Finn",1006,finn,A,
"""

CHEN = {
    "3.1": """
    tokens = plm.tokenize(sequences)
    hidden = plm.forward(tokens, output_hidden_states=True).hidden_states[-1]
    return [rows[1:len(sequence) + 1] for rows, sequence in zip(hidden, sequences)]""",
    "3.2": """
    return hidden.float()[:, 1:-1].mean(dim=1)""",
    "3.3": """
    clusters = np.asarray(clusters)
    families = sorted(set(clusters.tolist()))
    order = np.random.default_rng(seed).permutation(len(families))
    room = int(test_fraction * len(clusters))
    test = []
    for place in order:
        members = [i for i in range(len(clusters)) if clusters[i] == families[place]]
        if len(members) <= room:
            test.extend(members)
            room -= len(members)
    train = [i for i in range(len(clusters)) if i not in test]
    return np.array(train, dtype=int), np.array(sorted(test), dtype=int)""",
    "3.4": """
    a = query / query.norm(dim=1, keepdim=True)
    b = database / database.norm(dim=1, keepdim=True)
    found = []
    for row in a:
        best = torch.argmax((b * row).sum(dim=1))
        found.append(labels[int(best)])
    return found""",
}
# what Chen wrote, with other names and comments
DORA = {
    "3.2": """
    return pc.mean_pool(hidden, tokens)""",
    "3.3": CHEN["3.3"].replace("families", "groups").replace("members", "proteins").replace("place", "k").replace(
        "    test = []", "    # collect the test set\n    test = []"),
    "3.4": CHEN["3.4"].replace("found", "answer").replace("best", "index"),
}


def answered(answers):
    """The students' notebook with these answers in place of the stubs, as bytes."""
    book = json.loads((ROOT / "notebooks" / f"{NOTEBOOK}.ipynb").read_text(encoding="utf-8"))
    for cell in book["cells"]:
        number = cell["metadata"].get("nbgrader", {}).get("grade_id", "").removeprefix("solution-").replace("-", ".")
        if number in answers:
            before, stub, after = "".join(cell["source"]).partition(STUB)
            if not stub:
                raise ValueError(f"exercise {number}: there is no stub to write the answer to.")
            written = before + answers[number].strip() + after
            cell["source"] = written.splitlines(keepends=True)
    return json.dumps(book).encode()


def hand_in():
    """submissions.zip, as bytes: five students, each in one of the ways in which notebooks are handed in."""
    handed_in = {
        f"ada_1001_5001_{NOTEBOOK}.ipynb": (ROOT / "solutions" / f"{NOTEBOOK}.ipynb").read_bytes(),
        f"ben_1002_5002_{NOTEBOOK}.ipynb": answered({}),
        f"chen_1003_5003_{NOTEBOOK}.ipynb": answered(CHEN),
        "chen_1003_5004_what I learned.docx": b"a text",
        f"dora_LATE_1004_5005_{NOTEBOOK}.ipynb": answered(DORA),
        f"emil_1005_5006_{NOTEBOOK}.ipynb": b"<!DOCTYPE html>\n<html><title>Jupyter Server</title></html>\n",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in handed_in.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 5, 4, 12, 0, 0)), content)
    return packed.getvalue()


def run(command, folder):
    """What a command prints, on stdout and stderr together."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(["bash", "-c", SHELL + command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=os.environ | {"PYTHONPATH": paths, "PLMCOURSE_WEIGHTS": "embedded"})
    output = tidy(done.stdout.decode("utf-8"), folder)
    if done.returncode:
        raise ValueError(f"{command!r} failed:\n{output}")
    return output


def tidy(output, folder):
    """An output without progress bars, byte order marks and the folder's own path."""
    lines = []
    for line in output.replace("\ufeff", "").replace("\r\n", "\n").split("\n"):
        kept = [part.rstrip() for part in line.split("\r") if not BAR.search(part)]
        lines += ["".join(kept)] if any(kept) or not line else []
    return "\n".join(lines).replace(f"{folder}/", "").replace(str(folder), ".").replace(f"{ROOT}/", "").strip("\n")


def page(path):
    """The text of a page of feedback: a line for each heading, property and sentence, indented below each other."""
    body, lines = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").body, []
    for part in body.select("h1, header > .points, div.odd, h2, h3, p, pre, li"):
        texts = [part]
        if part.name == "li":  # without the sentences in it, which come by themselves
            texts = [part.div.span, *part.find_all("span", class_="points", recursive=False)]
        indent = "  " if part.name == "li" else "      " if part.find_parent("li") else ""
        lines.append(indent + " ".join(" ".join(text.get_text(" ") for text in texts).split()))
    return "\n".join(lines)


def fill(text, folder, run=run):
    """The guide with fresh outputs; the commands run in order, in the folder."""

    def block(found):
        kind, old = found.groups()
        if kind != "console":
            return f"```{kind}\n{page(folder / kind.split()[1])}\n```"
        commands = [line for line in old.splitlines() if line.startswith("$ ")]
        printed = [f"{command}\n{run(command[2:], folder)}".rstrip() for command in commands]
        return "```console\n" + "\n".join(printed) + "\n```"

    return BLOCK.sub(block, text)


def main():
    with tempfile.TemporaryDirectory(prefix="guide-") as name:
        folder = Path(name)
        (folder / "submissions.zip").write_bytes(hand_in())
        (folder / "canvas.csv").write_text(CANVAS, encoding="utf-8")
        filled = fill(GUIDE.read_text(encoding="utf-8"), folder)
    GUIDE.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
