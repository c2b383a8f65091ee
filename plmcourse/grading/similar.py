"""Whose code is alike: ``plmcourse similar`` lists pairs of students to look at.

As in MOSS (Schleimer, Wilkerson and Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003), we compare
code by its runs of a few tokens, names left out: renaming, comments and another order of functions change nothing. Answers are
short, so we keep all runs instead of a sample. A run says the less the more of the class have it, and nothing when the stub has
it: where an exercise leaves little choice, there is nothing to report.

Students' code is only split into tokens here, never parsed, compiled or run.
"""

import builtins
import functools
import inspect
import io
import keyword
import re
import tokenize
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

import plmcourse
from plmcourse.checks import EXERCISES, engine
from plmcourse.grading.notebook import read
from plmcourse.grading.submissions import File

RUN = 10  # tokens that are compared together: about a line of code
LEAST_SHARE = 0.75  # of the smaller answer's runs, each with its weight
LEAST_TOKENS = 60  # that agree in all such exercises together, each with its weight
LEAST_CLASS = 10  # in a smaller class, what two have in common is not yet common
LARGEST_NOTEBOOK = 64_000_000  # bytes; JSON takes some twenty times as much memory
LARGEST_CELL = 20_000  # letters
RESTARTS = 5  # in a cell that cannot be split into tokens to its end
OURS = "the course's own answer"
NO_VERDICT = (
    "This is a list to look at, not a verdict: people who learn together, or from the same page, write alike. "
    "Read both answers before you say anything."
)

# Names that are the same in everybody's code. Attributes, such as .softmax, are kept as they are.
LIBRARIES = {"torch", "nn", "F", "np", "numpy", "math", "random", "scipy", "pd", "pc", "plmcourse"}
KNOWN = {*keyword.kwlist, *dir(builtins), "self", *LIBRARIES}
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
FSTRING_START, FSTRING_END = (getattr(tokenize, name, None) for name in ("FSTRING_START", "FSTRING_END"))  # since Python 3.12
DEFINITION = re.compile(r"(?:async\s+)?(?:def|class)\s")


@dataclass(frozen=True)
class Pair:
    """Two students whose code agrees.

    Attributes
    ----------
    first, second : str
        Ids, in alphabetical order; :data:`OURS` for the course's own answer, which stands last.
    exercises : tuple of str
        In which their code agrees, such as ("3.1", "3.3").
    share : float
        How much of the smaller answers' rare code agrees, from 0 to 1.
    tokens : float
        How many tokens agree; one that much of the class has counts less than 1.
    """

    first: str
    second: str
    exercises: tuple[str, ...]
    share: float
    tokens: float


def similar(submissions, exercises=None):
    """List the pairs of students whose code agrees more than the exercise makes it.

    Parameters
    ----------
    submissions : iterable of Submission
    exercises : iterable of str, optional
        Numbers; all of them by default.

    Returns
    -------
    list of Pair, the most striking first
        A submission that cannot be read is a warning.

    Raises
    ------
    ValueError
        For an exercise that does not exist.
    """
    numbers = sorted(EXERCISES) if exercises is None else [engine.find(number).number for number in exercises]
    stubs, own = _course()
    answers = {number: {OURS: own[number] - stubs[number]} for number in numbers}
    for submission in submissions:
        for number, runs in _answered(submission.files, numbers, stubs, submission.student).items():
            answers[number][submission.student] = runs
    found = defaultdict(dict)
    for number in numbers:
        for names, agreed, possible in _agreements(answers[number]):
            found[names][number] = agreed, possible
    pairs = []
    for names, parts in found.items():
        agreed, possible = map(sum, zip(*parts.values()))
        if agreed >= LEAST_TOKENS:
            pairs.append(Pair(*names, tuple(parts), round(agreed / possible, 3), round(agreed, 1)))
    return sorted(pairs, key=lambda pair: (-pair.tokens, pair.first, pair.second))


def listing(pairs):
    """The pairs as a table to print, and what it is not.

    Parameters
    ----------
    pairs : list of Pair

    Returns
    -------
    str
    """
    if not pairs:
        return "No two answers agree more than the exercises make them."
    width = max(len(name) for pair in pairs for name in (pair.first, pair.second))
    rows = [("student", "student", "agree", "tokens", "exercises")]
    rows += [(pair.first, pair.second, f"{pair.share:.0%}", f"{pair.tokens:.0f}", " ".join(pair.exercises)) for pair in pairs]
    lines = [f"{one:{width}}  {other:{width}}  {share:>5}  {tokens:>6}  {where}" for one, other, share, tokens, where in rows]
    return "\n".join([*lines, "", NO_VERDICT])


def _files(folder):
    """The course's own notebooks: beside the package in a checkout, inside it when installed; solutions only in a checkout."""
    package = Path(plmcourse.__file__).parent
    paths = sorted((package / folder).glob("*.ipynb")) or sorted((package.parent / folder).glob("[0-9]*.ipynb"))
    return [File(path.name, path.stat().st_size, 0.0, path.read_bytes) for path in paths]


@functools.cache
def _course():
    """Dicts from an exercise to the runs of its stub, and to those of the course's own answers.

    These are the package's functions, and the solutions where they are.
    """
    stubs = defaultdict(set, _answered(_files("notebooks"), EXERCISES, defaultdict(set)))
    solutions = _answered(_files("solutions"), EXERCISES, defaultdict(set))
    own = {}
    for number, exercise in EXERCISES.items():
        own[number] = _runs(_blocks("\n".join(map(inspect.getsource, exercise.references)))) | solutions.get(number, set())
    return stubs, own


# --- from a notebook to the code of an exercise ---


def _answered(files, numbers, stubs, student="the course"):
    """Dict from an exercise to the runs of the last answer to it that is more than the stub."""
    found = {}
    for file in files:
        try:
            if file.size > LARGEST_NOTEBOOK:
                raise ValueError(f"it is larger than {LARGEST_NOTEBOOK // 1_000_000} MB.")
            cells = read(file.read()).cells
        except (ValueError, OSError) as error:
            warnings.warn(f"{student}: {file.name} was not compared: {error}", stacklevel=3)
            continue
        for cell in cells:
            if len(cell.source) > LARGEST_CELL:
                warnings.warn(f"{student}: {file.name}: cell {cell.number} is too long and was not compared.", stacklevel=3)
                continue
            for number, blocks in _answers(cell, numbers).items():
                if runs := _runs(blocks) - stubs[number]:
                    found[number] = runs
    return found


def _answers(cell, numbers):
    """Dict from an exercise to the blocks of a cell that answer it: its functions and the helpers in the cell."""
    if "def " not in cell.source and "class " not in cell.source:
        return {}
    blocks = _blocks(cell.source)
    asked = {name: number for number in numbers for name in EXERCISES[number].names}
    helpers = [(name, tokens) for name, tokens in blocks if name not in asked]
    found = {}
    for number in dict.fromkeys(asked[name] for name, _ in blocks if name in asked):
        found[number] = [(name, tokens) for name, tokens in blocks if asked.get(name) == number] + helpers
    renamed = re.fullmatch(r"solution-(\d+)-(\d+)(-\d+)?", cell.grade_id)
    if not found and renamed and (number := f"{renamed[1]}.{renamed[2]}") in numbers and helpers:
        found[number] = helpers
    return found


def _blocks(source):
    """(name, tokens) of all functions and classes at the left margin; no decorators, no comments, no docstrings."""
    blocks, inside = [], False
    for column, tokens in _statements(source):
        words = [text for text, _ in tokens[:3]]
        if column == 0:
            words = words[1:] if words[0] == "async" else words
            inside = len(words) > 1 and words[0] in ("def", "class")
            if inside:
                blocks.append((words[1], []))
        if inside and words != ["''"]:  # a string alone is a docstring
            blocks[-1][1].extend(tokens)
    return blocks


def _statements(source):
    """(column, tokens) of each logical line, as far as the text can be split; then on from the next definition."""
    lines, start = source.split("\n"), 0
    for _ in range(RESTARTS):
        tokens, column, row, depth = [], 0, 0, 0
        try:
            for kind, text, (row, place), _, _ in tokenize.generate_tokens(io.StringIO("\n".join(lines[start:])).readline):
                depth += (kind == FSTRING_START) - (kind == FSTRING_END)
                if kind == tokenize.NEWLINE or text == ";" and kind == tokenize.OP:
                    yield from [(column, tokens)] if tokens else []
                    tokens, column = [], column if text == ";" else 0
                elif kind not in LAYOUT and (not depth or depth == 1 and kind == FSTRING_START):
                    column = column if tokens else place
                    _add(tokens, kind, text)
            return
        except (tokenize.TokenError, SyntaxError):
            yield from [(column, tokens)] if tokens else []
        later = (number for number in range(start + max(row, 1), len(lines)) if DEFINITION.match(lines[number]))
        start = next(later, len(lines))


def _add(tokens, kind, text):
    """Add (text, whether it is a name of the student's own); numbers, and strings also in pieces, are all the same."""
    before = [text for text, _ in tokens[-2:]]
    own = kind == tokenize.NAME and text not in KNOWN and (before[-1:] != ["."] or before == ["self", "."])
    text = "0" if kind == tokenize.NUMBER else "''" if kind in (tokenize.STRING, FSTRING_START, FSTRING_END) else text
    if not text == "''" == "".join(before[-1:]):
        tokens.append((text, own))


def _runs(blocks):
    """Hashes of all runs of tokens in some blocks of code."""
    return {hash(_anonymous(tokens[start : start + RUN])) for _, tokens in blocks for start in range(len(tokens) - RUN + 1)}


def _anonymous(run):
    """Tokens with the student's own names numbered as they first appear."""
    numbers = {}
    return tuple(numbers.setdefault(text, len(numbers)) if own else text for text, own in run)


# --- from runs to pairs ---


def _agreements(answers):
    """((first, second), agreed, possible) for the pairs whose answers to an exercise agree: weights, summed over runs."""
    names = sorted(answers, key=lambda name: (name == OURS, name))
    columns = {run: place for place, run in enumerate(sorted(set().union(*answers.values())))}
    rows = [(row, columns[run]) for row, name in enumerate(names) for run in answers[name]]
    if not rows:
        return
    table = sparse.csr_array((np.ones(len(rows)), tuple(zip(*rows))), shape=(len(names), len(columns)))
    many = max(len(names), LEAST_CLASS)
    weights = np.log(many / table.sum(0)) / np.log(many / 2)  # 1 for what two have, 0 for what all have
    common = (table.multiply(np.minimum(weights, 1)) @ table.T).toarray()
    possible = np.minimum.outer(common.diagonal(), common.diagonal())
    for first, second in zip(*np.nonzero(np.triu((common > 0) & (common >= LEAST_SHARE * possible), 1))):
        yield (names[first], names[second]), float(common[first, second]), float(possible[first, second])
