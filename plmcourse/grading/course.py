"""The settings of a course directory, in its file plmcourse.json: release writes them, grading reads them."""

import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "plmcourse.json"
LARGEST_SEED = 2**32 - 1
NUMBER = re.compile(r"\d+\.\d+")  # of an exercise


@dataclass(frozen=True)
class Course:
    """A course directory: which notebooks and exercises it hands out, and what each is worth.

    Attributes
    ----------
    folder : Path
    seed : int
        Varies proteins and numbers of the checks under grading; with 0 they are those that students see.
    notebooks : dict of str to list of str
        From a notebook, "03_embeddings", to its exercises in order, "3.1", "3.2" …
    points : dict of str to float
        From an exercise to what it is worth in this course.
    written : dict of str to str
        From a notebook to the digest of its source as release wrote it, which tells when somebody has changed it since.
    """

    folder: Path
    seed: int
    notebooks: dict[str, list[str]]
    points: dict[str, float]
    written: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        check_seed(self.seed)
        unpriced = [number for numbers in self.notebooks.values() for number in numbers if number not in self.points]
        if unpriced:
            raise ValueError(f"exercise {unpriced[0]} has no points.")
        for number, worth in self.points.items():
            check_points(number, worth)


def check_seed(seed):
    """Refuse what cannot be a seed with a ValueError."""
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:  # JSON's true is an int for isinstance
        raise ValueError(f"the seed is {seed!r}; it must be a whole number from 0 to {LARGEST_SEED}.")


def check_points(number, worth):
    """Refuse what an exercise cannot be worth with a ValueError; two decimals are what marks are rounded to."""
    if type(worth) not in (int, float) or not math.isfinite(worth) or worth < 0 or round(worth, 2) != worth:
        raise ValueError(f"exercise {number} cannot be worth {worth!r} points; give a number from 0 with two decimals at most.")


def read_course(folder):
    """Read the settings of a course directory.

    Raises
    ------
    ValueError
        For a folder without settings, or settings that do not make sense.
    """
    path = Path(folder) / FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{folder} is not a course directory: it has no {FILE}; plmcourse release makes one.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(settings, dict) or not {"seed", "notebooks", "points"} <= settings.keys():
        raise ValueError(f"{path} must hold an object with seed, notebooks and points.")
    notebooks, points, written = settings["notebooks"], settings["points"], settings.get("written", {})
    if not isinstance(notebooks, dict) or not all(map(_are_numbers, notebooks.values())):
        raise ValueError(f'{path}: notebooks must map each notebook to its exercises, such as "03_embeddings": ["3.1", "3.2"].')
    if not isinstance(points, dict) or not isinstance(written, dict):
        raise ValueError(f"{path}: points and written must be objects.")
    try:
        return Course(Path(folder), settings["seed"], notebooks, points, written)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _are_numbers(exercises):
    return isinstance(exercises, list) and all(isinstance(number, str) and NUMBER.fullmatch(number) for number in exercises)


def write_course(course):
    """Write the settings into the course directory, all at once: nobody ever reads half a file."""
    settings = asdict(course)
    del settings["folder"]
    unfinished = course.folder / f".{FILE}.new"
    unfinished.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, course.folder / FILE)
