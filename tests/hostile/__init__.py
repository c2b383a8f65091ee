"""Hostile submissions: each module writes one, says what it tries, and what it earns all the same.

    for name, module in submissions().items():
        folder = students / getattr(module, "STUDENT", name)     # STUDENT: where the name itself is the attack
        folder.mkdir()
        module.make(folder)                                      # writes into the folder, and nowhere else
        verdict(module, points)                                  # sentences on points gained or lost; empty when all is fair

``EARNS`` maps exercises to the points that the submission's own honest code is worth, ``EARNS_AT_MOST`` those for which more than
one verdict is fair. Exercises that neither names earn 0. Some modules set ``EXPORT``: they can also write the archive in which a
learning management system hands out a class, ``make_export(path)``.

An attack that could harm the machine fires only where it finds itself in a process namespace of its own (:data:`ARMED`). One that
gets hold of a file that it should not see raises an error that holds :data:`SECRET`, when the file does: put that word into files
and variables that nobody should see, and look for it in the results. One that can write outside leaves files whose names or
contents hold :data:`CANARY`.
"""
import importlib
import json
import os
import pkgutil
import zlib
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
SECRET = "plmcourse-hostile-secret"
CANARY = "plmcourse-hostile-canary"
POINTS = {"3.1": 4, "3.2": 3, "3.3": 3, "3.4": 2}

RIGHT = {
    "3.1": '''
        def embed(plm, sequences, layer=-1):
            if not sequences:
                return []
            states = plm.forward(plm.tokenize(sequences), output_hidden_states=True).hidden_states[layer]
            return [states[row, 1:1 + len(sequence)] for row, sequence in enumerate(sequences)]
        ''',
    "3.2": '''
        def mean_pool(hidden, tokens):
            mask = ((tokens >= 4) & (tokens <= 28)).unsqueeze(-1)
            return (hidden.float() * mask).sum(1) / mask.sum(1)
        ''',
    "3.3": '''
        def cluster_split(clusters, test_fraction=0.2, seed=0):
            names, sizes = np.unique(clusters, return_counts=True)
            chosen, taken = [], 0
            for i in np.random.default_rng(seed).permutation(len(names)):
                if taken + sizes[i] <= test_fraction * len(clusters):
                    chosen.append(names[i])
                    taken += sizes[i]
            in_test = np.isin(clusters, chosen)
            return np.flatnonzero(~in_test), np.flatnonzero(in_test)
        ''',
    "3.4": '''
        def nearest_label(query, database, labels):
            database = database / database.norm(dim=-1, keepdim=True)
            return [labels[i] for i in (query @ database.T).argmax(dim=1).tolist()]
        ''',
}

ARMED = '''
def armed():
    """Nothing but the sandbox may come to harm: not in the process namespace of the tests, which @NAMESPACE@ names."""
    import os
    try:
        return os.readlink("/proc/self/ns/pid") != "@NAMESPACE@"
    except OSError:
        return True


'''


def earns(*right):
    """All points for these exercises of notebook 3, none for the others."""
    return {number: points if number in right else 0 for number, points in POINTS.items()}


def only(*numbers):
    """All points of these exercises, for ``EARNS_AT_MOST``."""
    return {number: POINTS[number] for number in numbers}


def verdict(module, points):
    """What is unfair about the points (exercise -> points) that a submission got, one sentence each."""
    exact, most = getattr(module, "EARNS", {}), getattr(module, "EARNS_AT_MOST", {})
    found = []
    for number in sorted({*points, *exact, *most}):
        got = points.get(number, 0)
        if number in most and got > most[number]:
            found.append(f"{module.__name__} got {got} points for {number}; fair are {most[number]} at most.")
        if number not in most and got != exact.get(number, 0):
            found.append(f"{module.__name__} got {got} points for {number}; fair are {exact.get(number, 0)}.")
    return found


def submissions():
    """All hostile submissions: name -> module."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def code_cell(text):
    """A code cell without outputs, its id made from the text."""
    name = f"extra-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"
    return {"cell_type": "code", "id": name, "execution_count": None, "metadata": {}, "outputs": [], "source": text}


def notebook(folder, answers, first=(), last=()):
    """A student notebook with answers in it, as a dict.

    Parameters
    ----------
    folder : Path
        The student's own; its parent is where the attacks look for other students.
    answers : dict
        Exercise -> text of its cell. Exercises left out keep their stub.
    first, last : sequence of str
        Cells before the first and after the last exercise.
    """
    found = json.loads((ROOT / "notebooks" / "03_embeddings.ipynb").read_text(encoding="utf-8"))
    for cell in found["cells"]:
        number = cell["metadata"].get("nbgrader", {}).get("grade_id", "").removeprefix("solution-").replace("-", ".")
        if number in answers:
            cell["source"] = bake(answers[number], folder)
    cells = found["cells"]
    cells[2:2] = [code_cell(bake(text, folder)) for text in first]
    cells += [code_cell(bake(text, folder)) for text in last]
    return found


def bake(text, folder):
    """Dedent a cell and fill in what it must know about this machine."""
    text = dedent(text).strip("\n")
    if "armed()" in text:
        text = ARMED.lstrip("\n") + text
    for word, value in {"@NAMESPACE@": own_namespace(), "@CLASS@": str(Path(folder).resolve().parent)}.items():
        text = text.replace(word, value)
    return text


def own_namespace():
    """The process namespace of the tests, such as pid:[4026531836]."""
    return os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else "none"


def write(folder, answers, first=(), last=(), name="03_embeddings.ipynb"):
    """Write :func:`notebook` into the folder; returns its path."""
    path = Path(folder) / name
    path.write_text(json.dumps(notebook(folder, answers, first, last), indent=1) + "\n", encoding="utf-8")
    return path
