"""Find the submissions in a folder or a zip, as instructors have them on disk and as Canvas and Moodle export them.

Everything here was named and packed by students, so nothing is extracted, no link is followed and no size is believed: a
notebook is read only when ``File.read`` is called, up to a limit. When in doubt whose a file is, we rather make two students of
one than one of two.
"""

import functools
import hashlib
import io
import os
import re
import stat
import unicodedata
import warnings
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

NOTEBOOKS = (
    "01_masked_language_modeling", "02_esm2_architecture", "03_embeddings", "04_zero_shot_mutations", "05_fine_tuning", "06_lora",
    "07_esmfold", "08_attention_contacts",
)  # fmt: skip
LARGEST = 300_000_000  # bytes of one file
MOST_FILES = 1_000_000  # of all students together
MOST_IN_ZIP = 10_000  # of a student's own zip
MOST_NOTES = 30  # on one student
LONGEST_ID = 60

# What systems and tools leave behind; nobody wants to read a note about it.
QUIET = {"__macosx", ".ipynb_checkpoints", ".ds_store", "thumbs.db", "desktop.ini", ".git", "__pycache__", "timestamp.txt"}
NBGRADER = {"submitted", "source", "release", "autograded", "feedback"}
TURNS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # marks that turn the direction of writing
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}

_words = "|".join(name.replace("_", r"[\s_-]+") for name in NOTEBOOKS)
IN_NAME = re.compile(rf"(?<![^\W_])({_words})(?![^\W_])", re.I)
MORE_WORDS = re.compile(r"final|late|copy|new|fixed|corrected", re.I)
# NAME, LATE or nothing, number of the user, number of the upload, the student's own file name
CANVAS = re.compile(r"(?P<name>.+?)(?:_LATE)?_(?P<number>[1-9][0-9]{0,19})_(?P<upload>[1-9][0-9]{2,19})_(?P<file>.+)", re.S)
_part = r"_(?P<number>[0-9]{1,20})_(?P<part>assign(?:submission|feedback)_[a-z]+)_"
MOODLE_FOLDER = re.compile(rf"(?P<name>.*){_part}?", re.S)
MOODLE_FLAT = re.compile(rf"(?P<name>.*?){_part}(?P<file>.+)", re.S)
MOODLE_MARK = re.compile(r"_[0-9]{1,20}_assignsubmission_")


@dataclass(frozen=True)
class File:
    """A notebook that was handed in.

    Attributes
    ----------
    name : str
        Its path below the student's folder, with "/"; only to show and to tell files apart.
    size : int
        In bytes, as the file system or the zip says.
    modified : float
        Seconds since the epoch.
    read : callable
        Returns the content; ValueError or OSError with one sentence when that cannot be had.
    """

    name: str
    size: int
    modified: float
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Submission:
    """All that one student handed in.

    Attributes
    ----------
    student : str
        An id of letters, digits, "-", "_" and ".", unlike any other student's even where case does not count.
    name : str
        For people.
    files : tuple of File
        Notebooks; of several with one name in Canvas, the latest is the last.
    notes : tuple of str
        One sentence for each oddity.
    lms : dict
        "canvas_user" or "moodle_participant" and the number.
    """

    student: str
    name: str
    files: tuple[File, ...]
    notes: tuple[str, ...]
    lms: dict[str, str]


def find(path):
    """Find all submissions in a folder or a zip.

    Parameters
    ----------
    path : str or Path
        One folder per student; or a flat folder of notebooks that carry the students' names; or what Canvas or Moodle exports; or
        a folder of any of these for each notebook; or the zip of any of these. A zip that a student handed in is looked into.

    Returns
    -------
    list of Submission, sorted by student

    Raises
    ------
    ValueError, OSError
        One sentence, when there is nothing to be found. Files that belong to nobody are a warning.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    entries = _on_disk(path) if path.is_dir() else _in_zip(path)
    claims = _claims(_unwrapped(entries, "" if path.is_dir() else path.stem))
    if not claims:
        raise ValueError(f"{path} holds no submissions: no folders, and no notebooks that carry a student's name.")
    ids = _ids(list(claims))
    return sorted((_submission(ids[owner], owner, claims[owner]) for owner in claims), key=lambda one: one.student)


# --- what there is: a list of entries, from disk or from a zip ---


class _Place(NamedTuple):
    """Where bytes are: a file on disk; or in that zip the member of this number, and in that zip again."""

    path: str
    members: tuple = ()


class _Entry(NamedTuple):
    """A file or folder: its path as a tuple, and its place; ``odd`` says why it is not to be read."""

    parts: tuple
    folder: bool = False
    size: int = 0
    modified: float = 0.0
    place: _Place | None = None
    odd: str = ""
    note: str = ""


def _on_disk(folder):
    """All that is below a folder."""
    entries, to_do = [], [(os.path.abspath(folder), ())]
    while to_do:
        here, parts = to_do.pop()
        try:
            with os.scandir(here) as children:
                found = [(child, (*parts, child.name)) for child in children if not _is_quiet(child.name)]
        except OSError as error:
            if not parts:
                raise
            entries.append(_Entry(parts, folder=True, odd=f"cannot be opened ({error.strerror})"))
            continue
        for child, path in found:
            inside = child.is_dir(follow_symlinks=False)
            entries.append(_Entry(path, folder=True) if inside else _entry_on_disk(child, path))
            to_do += [(child.path, path)] if inside else []
        if len(entries) > MOST_FILES:
            raise ValueError(f"{folder} holds more than {MOST_FILES:,} files: is it the folder of submissions?")
    return entries


def _is_quiet(name):
    return name.casefold() in QUIET or name.startswith("._")


def _entry_on_disk(child, path):
    try:
        status = child.stat(follow_symlinks=False)
    except OSError as error:
        return _Entry(path, odd=f"cannot be opened ({error.strerror})")
    return _Entry(path, False, status.st_size, status.st_mtime, _Place(child.path), _odd_kind(status.st_mode))


def _odd_kind(mode):
    """Why a file of this mode is not to be read; a zip may leave the kind of a file open."""
    if stat.S_ISLNK(mode):
        return "is a symbolic link and was not followed"
    return "" if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR) else "is neither a file nor a folder and was not opened"


def _in_zip(path):
    """All that the zip of a class holds."""
    place = _Place(os.path.abspath(path))
    if not path.is_file():
        raise ValueError(f"{path} is neither a folder nor a zip.")
    try:
        entries = _of_zip(_archive(place), place)
    except ValueError as error:
        raise ValueError(f"{path} is neither a folder nor a zip that can be read: {error}") from error
    return [entry for entry in entries if _leads_inside(entry)]


def _of_zip(archive, place):
    """All that a zip at a place lists; of members with one name, the last."""
    entries = {}
    for index, info in enumerate(archive.infolist()):
        path = _member_name(info).replace("\\", "/")  # old programs of Windows
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if not parts or any(map(_is_quiet, parts)):
            continue
        if path.startswith("/") or re.match("[A-Za-z]:/", path):
            parts = ("..", *parts)  # as any path that leads outside
        mode = info.external_attr >> 16
        folder, inside = path.endswith("/") or stat.S_ISDIR(mode), _Place(place.path, (*place.members, index))
        entry = _Entry(parts, folder, info.file_size, _time(info), inside, _odd_kind(mode) or _closed(info))
        if parts in entries and not folder:
            entry = entry._replace(note="is in the zip more than once; the last one counts")
        entries[parts] = entry
    return list(entries.values())


def _member_name(info):
    """A member's name: UTF-8 also where a program (as on the Mac) did not say so."""
    try:
        return info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _closed(info):
    """Why a member cannot be read; bzip2 and lzma would be unpacked without a limit."""
    if info.flag_bits & 1:
        return "is encrypted and cannot be read"
    plain = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return "" if plain else "is compressed in a way that is not read here"


def _time(info):
    try:
        return datetime(*info.date_time).timestamp()
    except (ValueError, OverflowError, OSError):  # a zip may say the 0th of month 0
        return 0.0


def _leads_inside(entry):
    """Whether a member of the whole zip has a plain path; a warning if not, since we cannot say whose it is."""
    if ".." in entry.parts:
        warnings.warn(f"{_shown('/'.join(entry.parts))} leads outside of the zip and was left out.", stacklevel=3)
    return ".." not in entry.parts


# --- reading ---


def _read(place):
    """The bytes at a place."""
    if not place.members:
        with _open(place.path) as stream:
            return _limited(stream, os.fstat(stream.fileno()).st_size, os.path.basename(place.path))
    archive = _archive(_Place(place.path, place.members[:-1]))
    info = archive.infolist()[place.members[-1]]  # by number: two members may have one name
    if _closed(info):
        raise ValueError(f"{_shown(info.filename)} {_closed(info)}.")
    try:
        with archive.open(info) as stream:
            return _limited(stream, info.file_size, info.filename)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{_shown(info.filename)} is damaged inside its zip ({error}).") from error


def _open(path):
    """Open a regular file: never a link, and without waiting for the other end of a pipe."""

    def opener(name, flags):
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))

    stream = open(path, "rb", opener=opener)
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise ValueError(f"{_shown(os.path.basename(path))} is not a regular file.")
    return stream


def _limited(stream, size, name):
    """All bytes of a stream; neither what it is said to hold nor what it does hold may be too much."""
    chunks, held = [], 0
    while size <= LARGEST and held <= LARGEST and (chunk := stream.read(1 << 20)):
        chunks.append(chunk)
        held += len(chunk)
    if max(size, held) > LARGEST:
        raise ValueError(f"{_shown(name)} is larger than {LARGEST // 1_000_000} MB.")
    return b"".join(chunks)


def _archive(place):
    """The zip at a place."""
    if place.members:
        return _zip_file(io.BytesIO(_read(place)))
    status = os.stat(place.path)
    return _archive_on_disk(place.path, (os.getpid(), status.st_mtime_ns, status.st_size))


@functools.lru_cache(maxsize=1)
def _archive_on_disk(path, _):
    """An open zip, since listing one of thousands of members takes long; each process needs its own."""
    return _zip_file(path)


def _zip_file(source):
    try:
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"the zip is damaged ({error}).") from error


# --- whose it is ---


class _Owner(NamedTuple):
    """Who handed in, told apart by name and number."""

    kind: str
    name: str
    number: str = ""


class _Claim(NamedTuple):
    """An entry of one owner, the path below the owner's folder, and what decides which of several files is the later one."""

    entry: _Entry
    path: tuple
    order: tuple = (0, 0)
    note: str = ""


def _unwrapped(entries, stem):
    """Without the folder around all submissions, where there is one: nbgrader's ``submitted``, or what the zip was made of."""
    while entries:
        folders = {entry.parts[0] for entry in entries if entry.folder or len(entry.parts) > 1}
        top = "submitted" if "submitted" in folders and folders <= NBGRADER else min(folders, default="")
        inside = [entry._replace(parts=entry.parts[1:]) for entry in entries if entry.parts[0] == top and len(entry.parts) > 1]
        if top != "submitted" and (any(entry.parts[0] != top for entry in entries) or not _is_class(top, inside, stem)):
            return entries
        entries = inside
    return entries


def _is_class(top, inside, stem):
    """Whether the only folder is the whole class rather than its only student."""
    if top.casefold() in ("submitted", "submissions"):
        return True
    if any(_notebook(entry.parts[-1]) and all(map(_notebook, entry.parts)) for entry in inside if _suffix(entry.parts[-1])):
        return False  # 03_embeddings.ipynb or 03_embeddings/03_embeddings.ipynb
    same = Counter(entry.parts[-1] for entry in inside if len(entry.parts) == 2 and _notebook(entry.parts[-1]))
    return top.casefold() == stem.casefold() or len(_numbers(inside)) > 0 or max(same.values(), default=0) > 1


def _numbers(entries):
    """Numbers of users, where these entries are what Canvas or Moodle exports."""
    names = {entry.parts[0] for entry in entries}
    found = [MOODLE_FOLDER.fullmatch(name) or MOODLE_FLAT.fullmatch(name) for name in names]
    found += [CANVAS.fullmatch(name) for name in names] if _is_canvas(entries) else []
    return {match["number"] for match in found if match}


def _is_canvas(entries):
    """Whether all loose notebooks and zips are named as Canvas does it, each with an upload of its own."""
    names = [entry.parts[0] for entry in entries if len(entry.parts) == 1 and not entry.folder and _suffix(entry.parts[0])]
    uploads = {found["upload"] for name in names if (found := CANVAS.fullmatch(name))}
    return 0 < len(names) == len(uploads)


def _suffix(name):
    return next((suffix for suffix in (".ipynb", ".zip") if name.casefold().endswith(suffix)), "")


def _notebook(name):
    """The notebook that a file or folder is named after and nothing else, or None."""
    found = IN_NAME.fullmatch(name[: len(name) - len(_suffix(name))])
    return found and re.sub(r"[\s-]+", "_", found[0]).casefold()


def _claims(entries):
    """Dict from owner to claims. A folder named after a notebook holds the submissions of that notebook."""
    roots, claims = defaultdict(list), defaultdict(list)
    for entry in entries:
        root = entry.parts[:1] if _notebook(entry.parts[0]) and (entry.folder or len(entry.parts) > 1) else ()
        if entry.parts != root:
            roots[root].append(entry._replace(parts=entry.parts[len(root) :]))
    for root, members in roots.items():
        canvas = _is_canvas(members)
        for entry in members:
            owner, claim = _claim(entry, canvas)
            if owner:
                claims[owner].append(claim._replace(path=root + claim.path))
            else:
                warnings.warn(f"{_shown('/'.join(root + entry.parts))} does not say whose it is and was left out.", stacklevel=3)
    return claims


def _claim(entry, canvas):
    """Whose an entry is, and the claim; the owner is None when that cannot be said."""
    first, *rest = (unicodedata.normalize("NFC", part) for part in entry.parts)
    if rest or entry.folder:
        found = MOODLE_FOLDER.fullmatch(first)
        owner = _Owner("moodle_participant", found["name"], found["number"]) if found else _Owner("", first)
        return owner, _Claim(_file_of_moodle(entry, found), tuple(rest))
    found = MOODLE_FLAT.fullmatch(first)
    if found:
        note = _two_ways(first) if MOODLE_MARK.search("_" + found["file"]) else ""
        owner = _Owner("moodle_participant", found["name"], found["number"])
        return owner, _Claim(_file_of_moodle(entry, found), (found["file"],), (-1 if note else 0, 0), note)
    found = CANVAS.fullmatch(first) if canvas else None
    if found:
        file, again = found["file"], re.search(r"-([0-9]{1,4})\.\w+$", found["file"])
        note = _two_ways(first) if CANVAS.fullmatch("x_" + file) else ""
        order = (-1 if note else int(again[1]) if again else 0, int(found["upload"]))
        return _Owner("canvas_user", found["name"], found["number"]), _Claim(entry, (file,), order, note)
    named = _suffix(first) or entry.odd and "." not in first  # such as a link to a student's folder
    name, note = _name_in(first[: len(first) - len(_suffix(first))]) if named else ("", "")
    return _Owner("", name) if name else None, _Claim(entry, (first,), note=note)


def _file_of_moodle(entry, found):
    """Only what comes from a file upload is a submission; an online text is not."""
    if not found or found["part"] == "assignsubmission_file" or entry.folder:
        return entry
    return entry._replace(odd=f"is no uploaded file ({found['part']}) and was ignored")


def _two_ways(name):
    return f"The name {_shown(name)} can be read in two ways: please look whose it is."


def _name_in(stem):
    """The student's name in the name of a loose file, and a note where it stands on both sides of the notebook's."""
    found = IN_NAME.search(stem)
    if not found:
        return stem.strip(), ""
    before, after = stem[: found.start()].strip(" _-.,"), stem[found.end() :].strip(" _-.,")
    if not before or not after or MORE_WORDS.fullmatch(after):
        return before or after, ""
    return f"{before} {after}", f"The student's name in {_shown(stem)} was taken to be {_shown(f'{before} {after}')}."


# --- ids ---


def _ids(owners):
    """Dict from owner to an id.

    A name that cannot be an id as it is gets a suffix that depends on nothing but the name, so that the id stays when other
    students come and go. Names that differ in case only, or in a space, get one when they meet.
    """
    plain = {owner: _cleaned(owner) for owner in owners}
    times = Counter(base.casefold() for base, _ in plain.values())
    ids = {}
    for owner, (base, faithful) in plain.items():
        alone = times[base.casefold()] == 1 or base == base.casefold() == owner.name
        ids[owner] = base if faithful and alone else f"{base}-{_digest(owner)[:8]}"
    times = Counter(name.casefold() for name in ids.values())
    return {owner: name if times[name.casefold()] == 1 else f"{name}-{_digest(owner)}" for owner, name in ids.items()}


def _digest(owner):
    return hashlib.sha256("\0".join(owner).encode("utf-8", "surrogatepass")).hexdigest()


def _cleaned(owner):
    """A name as any file system takes it, and whether it says all: only spaces changed, or the number of an LMS follows."""
    letters = unicodedata.normalize("NFKD", owner.name).encode("ascii", "ignore").decode()
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", letters).strip("._-")[:LONGEST_ID].strip("._-")
    faithful = base == owner.name.replace(" ", "_")
    if not base or base.casefold().partition(".")[0] in RESERVED:
        base, faithful = f"student_{base}".strip("_"), False
    return (f"{base}_{owner.number}", True) if owner.number else (base, faithful)


# --- one student ---


def _submission(student, owner, claims):
    files, notes, ignored = [], [], []
    for claim in sorted(claims, key=lambda claim: (claim.order, claim.path)):
        _sort_in(claim, files, notes, ignored)
    if ignored:
        more = f" and {len(ignored) - 5} more" if len(ignored) > 5 else ""
        notes.append(f"Ignored, being no notebook: {', '.join(map(_shown, ignored[:5]))}{more}.")
    notes = list(dict.fromkeys(notes))
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"There are {len(notes) - MOST_NOTES} more such notes."]
    if not files:
        notes.append("There is no notebook.")
    lms = {owner.kind: owner.number} if owner.kind else {}
    return Submission(student, _readable(owner.name)[:200] or student, tuple(_told_apart(files)), tuple(notes), lms)


def _sort_in(claim, files, notes, ignored, in_zip=False):
    """Add an entry to the files, the notes or the names that are ignored."""
    entry, name = claim.entry, "/".join(map(_readable, claim.path))
    notes += [claim.note] if claim.note else []
    notes += [f"{_shown(name)} {note}." for note in (entry.note, entry.odd) if note]
    if entry.folder or entry.odd:
        return
    suffix = _suffix(name)
    if suffix == ".ipynb":
        files.append(File(name, entry.size, entry.modified, functools.partial(_read, entry.place)))
    elif suffix == ".zip" and in_zip:
        notes.append(f"{_shown(name)} is a zip inside a zip and was not opened.")
    elif suffix == ".zip":
        _look_into(claim, name, files, notes, ignored)
    else:
        ignored.append(name)


def _look_into(claim, name, files, notes, ignored):
    """Add what a student's own zip holds."""
    try:
        content = _read(claim.entry.place)
        if content.count(b"PK\1\2") > MOST_IN_ZIP:  # counted before the list is made: it could fill the memory
            raise ValueError(f"it holds more than {MOST_IN_ZIP:,} files.")
        inside = _of_zip(_zip_file(io.BytesIO(content)), claim.entry.place)
    except (ValueError, OSError) as error:
        notes.append(f"{_shown(name)} was not opened: {error}")
        return
    if len(_numbers(inside)) > 1:
        notes.append(f"{_shown(name)} looks like the export of a whole class and was left out.")
        return
    for entry in sorted(inside, key=lambda entry: entry.parts):
        path = tuple(part for part in entry.parts if part != "..")
        if path != entry.parts:
            entry = entry._replace(note=f"has a path in {_shown(name)} that leads outside of it")
        _sort_in(_Claim(entry, claim.path + path), files, notes, ignored, in_zip=True)


def _told_apart(files):
    """Two paths can be the same once they are made readable: number them."""
    times, result = Counter(), []
    for file in files:
        times[file.name] += 1
        number = times[file.name]
        result.append(file if number == 1 else replace(file, name=f"{file.name[:-6]} [{number}]{file.name[-6:]}"))
    return result


def _readable(text):
    """Text without what could confuse a screen: control characters, marks that turn the direction of writing, broken bytes."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(letter for letter in text if unicodedata.category(letter) not in ("Cc", "Zl", "Zp") and letter not in TURNS)


def _shown(name):
    """A name in a sentence."""
    name = _readable(name)
    return f"'{name if len(name) <= 100 else name[:99] + '…'}'"
