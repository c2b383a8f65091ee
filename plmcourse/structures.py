"""Geometry of a protein chain: superposition, scores of a model against the native structure, distances and back.

Coordinates are those of C-alpha atoms in Å, one row per residue, unless a function says otherwise.
"""
import functools
import io

import numpy as np

from plmcourse import datasets

THRESHOLDS, RADIUS = (0.5, 1.0, 2.0, 4.0), 15.0  # Å, of lDDT
_BINS = 36  # of 10°, for pseudo-dihedrals


def ca_coordinates(structure):
    """C-alpha positions of whatever holds a chain.

    Parameters
    ----------
    structure : biotite AtomArray, str, or array of shape [L, 3] or [L, >= 2, 3]
        A string is the text of a PDB file. Of an array with several atoms per residue the second is C-alpha (N, CA, C, …).

    Returns
    -------
    float array, shape [L, 3], in Å

    Raises
    ------
    ValueError
        If there is no C-alpha, the array has another shape, or a coordinate is not a finite number.
    """
    if isinstance(structure, str):
        structure = read_pdb(structure)
    if hasattr(structure, "atom_name"):
        structure = alpha_carbons(structure).coord
    xyz = np.asarray(structure, float)
    if xyz.ndim == 3 and xyz.shape[1] >= 2:
        xyz = xyz[:, 1]
    if xyz.ndim != 2 or xyz.shape[1] != 3 or len(xyz) == 0:
        raise ValueError(f"a chain is an array [residues, 3] or [residues, atoms, 3], not {list(np.shape(structure))}")
    if not np.isfinite(xyz).all():
        raise ValueError(f"residue {int((~np.isfinite(xyz)).any(1).argmax()) + 1} of {len(xyz)} has no finite coordinates")
    return xyz


def read_pdb(text):
    """The first model in the text of a PDB file, as a biotite AtomArray with ``b_factor``.

    Raises
    ------
    ValueError
        If the text holds no atom.
    """
    from biotite.structure.io.pdb import PDBFile

    if not any(line.startswith(("ATOM  ", "HETATM")) for line in text.splitlines()):
        raise ValueError(f"the text that begins {text[:30]!r} is no PDB file: it has no line ATOM or HETATM")
    return PDBFile.read(io.StringIO(text)).get_structure(model=1, extra_fields=["b_factor"])


def alpha_carbons(atoms):
    """The C-alpha atoms of an AtomArray, as an AtomArray; calcium ions, which PDB files call CA as well, are left out.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = atoms[(atoms.atom_name == "CA") & (atoms.element != "CA")]
    if len(found) == 0:
        raise ValueError(f"none of the {len(atoms)} atoms is a C-alpha")
    return found


def _pair(mobile, target):
    """Both as float arrays [N, 3], or one sentence on what is wrong with them."""
    mobile, target = np.asarray(mobile, float), np.asarray(target, float)
    for name, xyz in (("first", mobile), ("second", target)):
        if xyz.ndim != 2 or xyz.shape[-1] != 3 or len(xyz) == 0:
            raise ValueError(f"the {name} structure has shape {list(xyz.shape)}; expected [residues, 3]")
        if not np.isfinite(xyz).all():
            raise ValueError(f"residue {int((~np.isfinite(xyz)).any(1).argmax()) + 1} of the {name} structure has no finite coordinates")
    if len(mobile) != len(target):
        raise ValueError(f"the structures have {len(mobile)} and {len(target)} residues: a superposition needs pairs")
    return mobile, target


def kabsch(mobile, target, weights=None):
    """Rotation and translation that lay ``mobile`` onto ``target`` with the least squared distance.

    Parameters
    ----------
    mobile, target : array, shape [N, 3]
        Row i of one belongs to row i of the other.
    weights : array, shape [..., N], optional
        How much each row counts; several rows of weights give as many superpositions.

    Returns
    -------
    rotation, translation : array, shape [..., 3, 3] and [..., 3]
        Of a proper rotation, never a mirror image: ``mobile @ rotation.T + translation`` lies on ``target``.

    Raises
    ------
    ValueError
        If the shapes differ or are not [N, 3].

    Source: Kabsch 1976, Acta Crystallographica A32:922.
    """
    mobile, target = _pair(mobile, target)
    weights = np.ones(len(mobile)) if weights is None else np.asarray(weights, float)
    share = (weights / weights.sum(-1, keepdims=True))[..., None]
    from_centre, to_centre = (share * mobile).sum(-2), (share * target).sum(-2)
    covariance = (share * (target - to_centre[..., None, :])).swapaxes(-1, -2) @ (mobile - from_centre[..., None, :])
    u, _, vt = np.linalg.svd(covariance)
    flip = np.ones(u.shape[:-1])
    flip[..., 2] = np.sign(np.linalg.det(u @ vt))  # a mirror image would fit better here: turn the weakest axis round
    rotation = (u * flip[..., None, :]) @ vt
    return rotation, to_centre - (rotation @ from_centre[..., None])[..., 0]


def kabsch_rmsd(mobile, target):
    """Root mean square deviation in Å after the best superposition (a rotation and a shift, never a mirror image).

    Parameters
    ----------
    mobile, target : array, shape [N, 3]

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or are not [N, 3].
    """
    rotation, translation = kabsch(mobile, target)
    moved = np.asarray(mobile, float) @ rotation.T + translation
    return float(np.sqrt(((moved - target) ** 2).sum(-1).mean()))


def distances(xyz):
    """Distance of each residue to each other, [L, L] in Å, from coordinates [L, 3]."""
    xyz = np.asarray(xyz, float)
    return np.linalg.norm(xyz[:, None] - xyz[None], axis=-1)


def lddt_ca(model, native, radius=RADIUS):
    """Local distance difference test on C-alpha atoms: how many distances to the neighbours are kept, per residue.

    For residue i, all others that lie within ``radius`` of it in the native structure are its partners. The score is the
    share of partners whose distance in the model differs by at most 0.5, 1, 2 and 4 Å, averaged over these four. Nothing is
    superposed, so a domain that is turned as a whole costs little; and a mirror image costs nothing at all.

    Parameters
    ----------
    model, native : array, shape [L, 3]
    radius : float
        In Å.

    Returns
    -------
    array, shape [L]
        Between 0 and 1; nan for a residue without partners.

    Raises
    ------
    ValueError
        If the shapes differ or are not [L, 3].

    Source: Mariani et al. 2013, Bioinformatics 29:2722, with C-alpha atoms only as AlphaFold's pLDDT.
    """
    model, native = _pair(model, native)
    apart = distances(native)
    partner = (apart < radius) & ~np.eye(len(native), dtype=bool)
    change = abs(distances(model) - apart)
    kept = np.mean([change <= threshold for threshold in THRESHOLDS], 0)
    count = partner.sum(-1)
    return np.where(count, (kept * partner).sum(-1) / np.maximum(count, 1), np.nan)


def tm_score(model, native):
    """TM-score of a model: 1 for the native structure, about 0.17 for an unrelated one, above 0.5 for the same fold.

    Residues count by how close they come: 1 / (1 + (d / d0)²), with a d0 that grows with the length of the protein so that
    scores of small and large proteins can be compared. The superposition is searched for: it starts from fragments
    of the chain and goes on with those residues that have come close.

    Parameters
    ----------
    model, native : array, shape [L, 3]
        Residue i of one is residue i of the other.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the shapes differ or are not [L, 3].

    Source: Zhang and Skolnick 2004, Proteins 57:702.
    """
    model, native = _pair(model, native)
    length = len(native)
    d0 = max(0.5, 1.24 * max(length - 15, 0) ** (1 / 3) - 1.8)
    weights = _fragments(length)
    best = 0.0
    for _ in range(10):  # most starts stand still after five rounds
        rotation, translation = kabsch(model, native, weights)
        moved = model @ rotation.swapaxes(-1, -2) + translation[:, None]
        apart = np.linalg.norm(moved - native, axis=-1)
        best = max(best, (1 / (1 + (apart / d0) ** 2)).mean(-1).max())
        # at least three residues decide a superposition
        near = np.maximum(np.clip(d0, 4.5, 8), np.sort(apart, -1)[:, [min(2, length - 1)]])
        weights = (apart <= near).astype(float)
    return float(best)


def _fragments(length):
    """Where the search begins: the whole chain, and pieces of a half, a quarter and an eighth of it, as rows of 0 and 1."""
    rows = []
    for size in {max(min(4, length), length // part) for part in (1, 2, 4, 8)}:
        for first in range(0, length - size + 1, max(1, size // 2)):
            rows.append((np.arange(length) >= first) & (np.arange(length) < first + size))
    return np.array(rows, float)


def read_confidence(pdb_text):
    """pLDDT of each residue on the scale from 0 to 100, as structure predictors leave it in the B-factors of a PDB file.

    The value is that of the C-alpha atom. AlphaFold and fair-esm write 0 to 100, transformers' ESMFold writes 0 to 1: a file
    with no value above 1 is taken to be on that scale.

    Parameters
    ----------
    pdb_text : str
        The text of the file; of several models the first is read.

    Returns
    -------
    array, shape [L]

    Raises
    ------
    ValueError
        If there is no C-alpha atom, or a value lies outside 0 to 100.
    """
    atoms = alpha_carbons(read_pdb(pdb_text))
    values = np.asarray(atoms.b_factor, float)
    wrong = (values < 0) | (values > 100)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(f"residue {atoms.res_name[first]} {atoms.res_id[first]} has the B-factor {values[first]:g}: "
                         "a confidence lies between 0 and 100")
    return values * 100 if values.max() <= 1 else values


def pseudo_dihedrals(xyz):
    """Torsion around each middle bond of four C-alpha atoms in a row, in radians from −π to π: array [L − 3].

    About +50° in an α-helix, about −170° in a strand. In the mirror image all of them change their sign.
    """
    bonds = np.diff(np.asarray(xyz, float), axis=0)
    a, b, c = bonds[:-2], bonds[1:-1], bonds[2:]
    over, under = np.cross(a, b), np.cross(b, c)
    return np.arctan2(np.linalg.norm(b, axis=-1) * (a * under).sum(-1), (over * under).sum(-1))


def _bins(angles):
    return np.floor((np.asarray(angles) + np.pi) / (2 * np.pi) * _BINS).astype(int) % _BINS


@functools.cache
def hand_log_odds():
    """How much more often a pseudo-dihedral occurs than its mirror image: log-odds for 36 bins of 10° from −180°.

    Counted on the chains of ``chains_train``, one added to each bin.
    """
    angles = np.concatenate([pseudo_dihedrals(chain["xyz"][:, 1]) for chain in datasets.chains("chains_train")])
    counts = 1 + np.bincount(_bins(angles), minlength=_BINS)
    return np.log(counts / counts[::-1])


def handedness(xyz):
    """Log-odds that a chain is a natural protein and not its mirror image, from its pseudo-dihedrals.

    Parameters
    ----------
    xyz : array, shape [L, 3]

    Returns
    -------
    float
        Above 0 for the hand of natural proteins, with the opposite sign for the mirror image; 0 for fewer than four residues.
    """
    return float(hand_log_odds()[_bins(pseudo_dihedrals(xyz))].sum())


def natural_hand(xyz):
    """A chain [L, 3], or its mirror image where that has the better :func:`handedness`."""
    return xyz * [1, 1, -1] if handedness(xyz) < 0 else xyz


def coordinates_from_distances(distances):
    """Coordinates whose distances are the given ones as nearly as three dimensions allow, with the natural hand.

    Classical multidimensional scaling: squared distances, centred in rows and columns, are −2 times the inner products of the
    coordinates, and the three largest eigenvectors give these. Distances do not tell an object from its mirror image; of
    the two the one with the better :func:`handedness` is returned.

    Parameters
    ----------
    distances : array, shape [L, L], in Å

    Returns
    -------
    array, shape [L, 3]
        Centred at the origin.

    Raises
    ------
    ValueError
        If the matrix is not square, not symmetric, not zero on the diagonal, or holds a value that is negative or not finite.

    Source: Torgerson 1952, Psychometrika 17:401.
    """
    d = _distance_matrix(distances)
    squared = d ** 2
    inner = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean())
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    values, vectors = values[::-1][:3], vectors[:, ::-1][:, :3]
    xyz = np.zeros((len(d), 3))
    xyz[:, :len(values)] = vectors * np.sqrt(np.maximum(values, 0))  # predicted distances may fit into no space: values below 0
    return natural_hand(xyz)


def _distance_matrix(distances):
    d = np.asarray(distances, float)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) == 0:
        raise ValueError(f"distances have shape {list(d.shape)}; expected a square matrix [residues, residues]")
    i, j = np.unravel_index((~np.isfinite(d) | (d < 0)).argmax(), d.shape)
    if not (np.isfinite(d[i, j]) and d[i, j] >= 0):
        raise ValueError(f"the distance between residues {i + 1} and {j + 1} is {d[i, j]:g}")
    i, j = np.unravel_index(abs(d - d.T).argmax(), d.shape)
    if abs(d - d.T)[i, j] > 1e-3:
        raise ValueError(f"distances are not symmetric: {d[i, j]:g} Å from residue {i + 1} to {j + 1}, {d[j, i]:g} Å back")
    if abs(np.diag(d)).max() > 1e-3:
        i = int(abs(np.diag(d)).argmax())
        raise ValueError(f"the distance of residue {i + 1} to itself is {d[i, i]:g} Å, not 0")
    return d
