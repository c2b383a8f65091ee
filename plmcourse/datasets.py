"""The course's data: small files in ``data/``, described by ``manifest.json``, verified before they are used."""
import functools
import hashlib
import io
import json
from pathlib import Path

import numpy as np

from plmcourse.sequences import AMBIGUOUS, RESIDUES, read_fasta

_PACKAGE = Path(__file__).parent
# in a wheel data/ rides inside the package, in a checkout it lies beside it
DATA = next(folder for folder in (_PACKAGE / "data", _PACKAGE.parent / "data") if folder.is_dir())


@functools.cache
def _manifest():
    return json.loads((DATA / "manifest.json").read_text())["files"]


def names():
    """Names that :func:`load` takes."""
    return sorted(_manifest())


def info(name):
    """What the manifest says of a data set: file, rows, source, licence, citation, how it was filtered (a dict).

    Raises
    ------
    ValueError
        If there is no data set of that name.
    """
    if name not in _manifest():
        raise ValueError(f"there is no data set {name!r}; there are: {', '.join(names())}")
    return _manifest()[name]


@functools.cache
def path(name):
    """Path of a data set's file, after comparing its size and SHA-256 with the manifest (once per session).

    Raises
    ------
    ValueError
        If the file is missing or damaged; it is named.
    """
    entry = info(name)
    file = DATA / entry["file"]
    if not file.is_file():
        raise ValueError(f"{file} is missing: install the course again, or run 'make data' in a checkout")
    if (size := file.stat().st_size) != entry["bytes"]:
        raise ValueError(f"{file} is damaged: it has {size:,} bytes, the manifest says {entry['bytes']:,}")
    if sha256(file) != entry["sha256"]:
        raise ValueError(f"{file} is damaged: its SHA-256 is not the one in manifest.json")
    return file


def sha256(file):
    """SHA-256 of a file, as hexadecimal digits."""
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def load(name):
    """Load a data set by its name in the manifest.

    Returns
    -------
    pandas.DataFrame for tables, dict of arrays for ``.npz``, dict of id -> sequence for FASTA (rows of an
    alignment with their gaps), biotite AtomArray for PDB.

    Raises
    ------
    ValueError
        If the name is unknown, or the file missing or damaged.
    """
    file = path(name)
    kind = "".join(file.suffixes).removesuffix(".gz")
    if kind in (".csv", ".tsv"):
        import pandas

        return pandas.read_csv(file, sep="," if kind == ".csv" else "\t", keep_default_na=False, na_values=[""])
    if kind == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    if kind == ".fasta":
        return read_fasta(file)
    if kind == ".afa":  # an alignment
        return read_fasta(file, RESIDUES + AMBIGUOUS + "-")
    if kind == ".pdb":
        from biotite.structure.io.pdb import PDBFile

        return PDBFile.read(io.StringIO(file.read_text())).get_structure(model=1, extra_fields=["b_factor"])
    raise ValueError(f"{name!r} is a {kind} file: use datasets.path({name!r})")


def chains(name):
    """A ``chains_*`` or ``secondary_structure_*`` set as a list with one dict per protein chain.

    Returns
    -------
    list of dict
        id, sequence, start (number of the first residue), cluster, and per residue ss [L] (8-state DSSP), sasa [L] in Å²,
        rsa [L], phi_psi [L, 2] in radians, profile [L, 20]; with coordinates also xyz [L, 4, 3] in Å (N, CA, C, O).
    """
    arrays = load(name)
    bounds = arrays["offset"]
    per_chain = ("id", "sequence", "start", "cluster")
    per_residue = [key for key in arrays if key not in (*per_chain, "offset")]
    return [{key: arrays[key][i].item() for key in per_chain}
            | {key: arrays[key][bounds[i]:bounds[i + 1]] for key in per_residue}
            for i in range(len(bounds) - 1)]


def cluster_split(clusters, test_fraction=0.2, seed=0):
    """Split proteins into training and test set so that no cluster of relatives lies on both sides.

    Whole clusters are drawn at random into the test set as long as they fit. (scikit-learn's ``GroupShuffleSplit`` counts
    clusters; here ``test_fraction`` means proteins, which is what a reader expects when cluster sizes differ a lot.)

    Parameters
    ----------
    clusters : array-like, shape [n]
        Cluster of each protein: any labels.
    test_fraction : float
        Share of the proteins wanted in the test set, between 0 and 1.
    seed : int
        Same seed, same split. The global random state is not touched.

    Returns
    -------
    train, test : int arrays of indices, each in ascending order

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, or there are fewer than two clusters.
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction is {test_fraction}: it must lie between 0 and 1")
    _, member, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ValueError(f"all {len(member)} proteins are in one cluster: it cannot be split")
    wanted = test_fraction * len(member)
    chosen, taken = [], 0
    for cluster in np.random.default_rng(seed).permutation(len(sizes)):
        if taken + sizes[cluster] <= wanted:
            chosen.append(cluster)
            taken += sizes[cluster]
    in_test = np.isin(member, chosen or [sizes.argmin()])  # a test set of nobody would be no split
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)
