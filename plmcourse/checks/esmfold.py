"""Checks of notebook 7: kabsch_rmsd, lddt_ca, read_confidence, coordinates_from_distances."""

import functools
import itertools
import warnings

import numpy as np
from biotite.structure import AtomArray, lddt, rmsd, superimpose

from plmcourse import datasets, structures
from plmcourse.checks import inputs
from plmcourse.checks.engine import Exercise, Wrong, expect, expect_close, expect_value_error


def _array(name, result, shape, wanted, why):
    """The result as a float array of that shape, or a sentence; ``why`` says what known wrong shapes come from."""
    expect(hasattr(result, "shape"), f"{name} returned a {type(result).__name__}; asked for is an array, {wanted} (np.array makes one).")
    values = result.detach().cpu().numpy() if hasattr(result, "detach") else np.asarray(result)
    kind = {"U": "text", "S": "text", "c": "complex numbers", "b": "True and False", "O": "objects"}.get(values.dtype.kind)
    expect(kind is None, f"{name} returned an array of {kind}; asked for are numbers. {why.get(kind, '')}".strip())
    sentence = f"{name} returned an array of shape {list(values.shape)}; asked for is {list(shape)}, {wanted}. {why.get(values.shape, '')}"
    expect(values.shape == shape, sentence.strip())
    return np.ascontiguousarray(values, float)


def _rows(xyz):
    """Numbers of an array, or of one inside another, that fit on a line."""
    return f"{xyz + 0.0:.4g}" if np.ndim(xyz) == 0 else f"[{', '.join(map(_rows, np.round(xyz, 2)))}]"


def _apart(xyz):
    """Distances of all residues, [L, L]."""
    return np.sqrt(((xyz[:, None] - xyz[None]) ** 2).sum(-1))


# with a course seed the structures are a bit larger: other distances, but the same shape and the same hand
_STRETCH = 1 if inputs.SEED == 0 else 1 + int(inputs.rng().integers(1, 10)) / 100
_STRETCHED = "" if inputs.SEED == 0 else f" (stretched by {_STRETCH - 1:.0%})"


@functools.cache
def _chains():
    return {chain["id"]: _STRETCH * chain["xyz"][:, 1].astype(float) for chain in datasets.chains("chains_test")}


def _native(name, first=0, length=None):
    """A copy of the C-alpha atoms of a chain, or of a part of it."""
    return _chains()[name][first:][:length].copy()


def _nearest(result, options):
    """Of several values that the same mistake can give, the one nearest to the result."""
    return min(options, key=lambda value: np.abs(np.subtract(value, result)).sum())


# ------------------------------------------------------------------------------------------------------ 7.1 kabsch_rmsd

rmsd_exercise = Exercise(
    "7.1",
    [structures.kabsch_rmsd],
    hints=[
        (
            "Three things to do: move both structures so that their centres lie at the origin, find the rotation that brings them together,"
            " and measure what is left. The best rotation comes out of one singular value decomposition."
        ),
        (
            "With p and q centred, u, s, vt = np.linalg.svd(p.T @ q), and p @ (u @ vt) lies on q. np.linalg.det(u @ vt) is 1 for a rotation"
            " and -1 for a reflection; then the last column of u has to change its sign before you multiply."
        ),
        (
            "if np.linalg.det(u @ vt) < 0: u[:, -1] *= -1; then float(np.sqrt(((p @ u @ vt - q) ** 2).sum(axis=1).mean())). Shapes are"
            " compared before all this: mobile.shape != target.shape, mobile.ndim != 2, mobile.shape[1] != 3."
        ),
    ],
)

_CORNER = _STRETCH * np.array([[0.0, 0, 0], [2, 0, 0], [2, 3, 0], [2, 3, 5]])  # no two axes alike, and not its own mirror image
_BENT = np.array([[0.5, 0, 0], [2, 0, 1], [1, 3, 0], [2, 4, 5]])


def _turn(xyz):
    """Turned by 90° about z and shifted: exact, and far from being turned back."""
    return xyz[:, [1, 0, 2]] * [-1.0, 1, 1] + [10.0, 0.0, -4.0]


def _best(mobile, target):
    """The reference: biotite's superposition."""
    return float(rmsd(target.astype(np.float32), superimpose(target, mobile)[0]))


def _rms(difference):
    return np.sqrt((difference**2).sum(-1).mean())


def _factors(p, q):
    """u and vt of the covariance, and the sign of the determinant: p @ u @ diag(1, 1, sign) @ vt lies on q."""
    u, _, vt = np.linalg.svd(p.T @ q)
    return u, vt, np.array([1, 1, np.sign(np.linalg.det(u @ vt))])


def _rotation(p, q):
    u, vt, sign = _factors(p, q)
    return (u * sign) @ vt


def _centred_at(mobile, target, axis):
    """What comes out of centring with the mean over another axis."""
    p, q = (xyz - xyz.mean(axis=axis, keepdims=True) for xyz in (mobile, target))
    return _rms(p @ _rotation(p, q) - q)


def _motion_slips(mobile, target):
    """Wrong superpositions, from sentence to the values that they give."""
    centre, to = mobile.mean(0), target.mean(0)
    p, q = mobile - centre, target - to
    u, vt, sign = _factors(p, q)
    turn, free = _rotation(p, q), _rotation(mobile, target)
    a, b = mobile - mobile[0], target - target[0]
    mixed = [
        first @ middle @ second
        for first, second in itertools.permutations((u, vt, u.T, vt.T), 2)
        for middle in (np.diag(sign), np.eye(3))
        if not any(np.allclose(first @ second, right) for right in (u @ vt, vt.T @ u.T, np.eye(3)))
    ]
    return {
        "You neither centre nor rotate: this compares the coordinates as they are.": [_rms(mobile - target)],
        "You centre, but nothing is rotated: the best rotation is missing.": [_rms(p - q)],
        "You do not centre: subtract the mean of each structure, mobile.mean(axis=0) and target.mean(axis=0), before the SVD.": [
            _rms(mobile @ free - target),
            _rms(p @ free - q),
        ],
        "One structure alone is centred: both have to be, or mobile never comes to lie where target is.": [
            _rms(p @ turn - target),
            _rms(mobile @ turn - q),
        ],
        "You rotate about the origin, not about the centre: subtract the centre of mobile, rotate, then add the centre of target.": [
            _rms(mobile @ turn - target),
            _rms(mobile @ turn + to - centre - target),
        ],
        "Your rotation is transposed: it turns mobile the wrong way round. Use it with .T.": [_rms(p @ turn.T - q), _rms(q @ turn - p)],
        "You subtract one number, the mean of all coordinates: x, y and z have a mean each, .mean(axis=0).": [
            _centred_at(mobile, target, None)
        ],
        "You subtract a mean from each residue, over its x, y and z: the centre is the mean over the residues, .mean(axis=0).": [
            _centred_at(mobile, target, 1)
        ],
        "You lay the first residues onto each other: take the centres, .mean(axis=0).": [_rms(a @ _rotation(a, b) - b)],
        "The factors of the rotation are mixed up: np.linalg.svd returns u, s and vt, the third already transposed.": [
            _rms(p @ wrong - q) for wrong in mixed
        ],
    }


def _formula_slips(mobile, target):
    """Wrong formulas after the right superposition, from sentence to the values that they give."""
    n, p, q = len(mobile), mobile - mobile.mean(0), target - target.mean(0)
    turned = p @ _rotation(p, q)
    apart = np.linalg.norm(turned - q, axis=-1)
    change = _apart(mobile) - _apart(target)
    above = np.triu_indices(n, 1)
    scale = (turned * q).sum() / (p**2).sum()
    right = _rms(turned - q)
    return {
        "You average over the 3 N coordinates; asked for is the mean over the N residues: sum over x, y, z first.": [right / np.sqrt(3)],
        "The square root is missing: this is the mean squared distance.": [right**2],
        "You sum over the residues; take the mean.": [right * np.sqrt(n), np.sqrt(3) * right * np.sqrt(n)],
        "You sum the squares: neither the mean nor the square root is taken.": [right**2 * n],
        "This is the mean of the squared coordinates, over 3 N numbers and without a root.": [right**2 / 3],
        "You take the mean of the distances: square them first, and take the root of the mean (RMSD).": [apart.mean()],
        "You take the median of the distances; asked for is the root of the mean of the squares.": [np.median(apart)],
        "This is the largest distance; asked for is the root of the mean of the squares.": [apart.max()],
        "You divide by N - 1 (or less): all N residues count, .mean().": [right * np.sqrt(n / (n - k)) for k in (1, 2, 3) if n > k],
        "You take the root before the mean or divide by N outside the root.": [right / np.sqrt(n), np.sqrt((apart**2).sum()) / n],
        "This compares distances inside the structures (dRMSD), which no superposition needs and a mirror image passes.": [
            np.sqrt((change[above] ** 2).mean()) if n > 1 else 0.0,
            np.sqrt((change**2).mean()),
        ],
        "You scale the structure too (Procrustes): Å stay Å, a superposition only shifts and rotates.": [
            _rms(scale * turned - q),
            _rms(turned / np.linalg.norm(p) - q / np.linalg.norm(q)),
            ((turned * scale - q) ** 2).sum() / (q**2).sum(),
        ],
        "This is in nanometres; asked for is Å.": [right / 10],
        "You average absolute differences of the coordinates: square them, and take the root of the mean.": [
            abs(turned - q).mean(),
            abs(turned - q).sum(-1).mean(),
        ],
        "Your matrix stretches and shears (np.linalg.lstsq): only a rotation keeps the structure as it is.": [
            _rms(p @ np.linalg.lstsq(p, q, rcond=None)[0] - q) if n > 4 else np.nan  # four points always fit
        ],
        "The value is rounded: give all digits.": [round(right, digits) for digits in range(4)],
    }


def _mirror_slips(mobile, target):
    """Wrong ways to keep the hand, from sentence to the values that they give."""
    p, q = mobile - mobile.mean(0), target - target.mean(0)
    u, vt, sign = _factors(p, q)
    free, last = u @ vt, sign[2]

    def flipped(axis):
        return np.where(np.arange(3) == axis, last, 1)

    factors = [(u * flipped(2)[:, None]) @ vt, u @ (vt * flipped(2))]
    finished = [turn for axis in (0, 1) for turn in (free * flipped(axis), free * flipped(axis)[:, None])]
    return {
        (
            "You allow a reflection: where the determinant of your 'rotation' is -1, it turns the structure into its mirror image. Change"
            " the sign of the last singular vector then."
        ): [_rms(p @ free - q)],
        "You correct the determinant at the wrong singular value: it is the last, the smallest one, whose sign has to change.": [
            _rms(p @ (u * flipped(axis)) @ vt - q) for axis in (0, 1)
        ],
        (
            "You change a sign on the wrong side: a singular vector is a column of u or a row of vt, u[:, -1] or vt[-1], and its sign"
            " changes before the two are multiplied."
        ): [_rms(p @ turn - q) for turn in factors + finished],
        "You change the sign of the whole matrix: a rotation, but not the best. Only the last singular vector changes its sign.": [
            _rms(p @ (last * free) - q)
        ],
        "You change the sign of the last singular vector always: only where the determinant is negative.": [
            _rms(p @ (u * [1, 1, -last]) @ vt - q),
            _rms(p @ (u * [1, 1, -1]) @ vt - q),
        ],
    }


def _rmsd_of(kabsch_rmsd, mobile, target, case=None):
    """The student's value, which must be a finite float."""
    result = kabsch_rmsd(mobile, target)
    shape = f" of shape {list(result.shape)}" if hasattr(result, "shape") else ""
    expect(
        isinstance(result, (float, np.floating)),
        f"kabsch_rmsd returned a {type(result).__name__}{shape}; asked for is a number, float(...).",
        case,
    )
    expect(
        np.isfinite(result),
        f"kabsch_rmsd returned {result}. (Rounding can leave -1e-15 where 0 is meant, and its square root is nan; and 0 / 0 is nan.)",
        case,
    )
    return float(result)


def _expect_rmsd(kabsch_rmsd, mobile, target, otherwise, case=None, *, expected=None, tolerance=1e-4):
    expected = _best(mobile, target) if expected is None else expected
    case = case or f"mobile = {_rows(mobile)}, target = {_rows(target)}"
    result = _rmsd_of(kabsch_rmsd, mobile, target, case)
    case = f"{case}: you get {result:.4g} Å, right is {expected:.4g} Å"

    def slips():
        found = _mirror_slips(mobile, target) | _motion_slips(mobile, target) | _formula_slips(mobile, target)
        return {sentence: _nearest(result, values) for sentence, values in found.items()}

    expect_close(result, expected, slips, otherwise, case, tolerance=tolerance)


@rmsd_exercise.step("a moved copy")
def rmsd_moved(kabsch_rmsd):
    _expect_rmsd(kabsch_rmsd, _CORNER, _CORNER.copy(), "A structure lies on itself.", expected=0.0, tolerance=1e-3)
    for copy, what in (
        (_CORNER * [-1.0, -1.0, 1.0], "rotated by 180°"),
        (_turn(_CORNER), "rotated by 90° and shifted"),
    ):
        otherwise = f"A copy that was only {what} can be laid onto the original: this is not the best rotation."
        _expect_rmsd(kabsch_rmsd, _CORNER, copy, otherwise, expected=0.0, tolerance=1e-3)


@rmsd_exercise.step("root mean square")
def rmsd_values(kabsch_rmsd):
    otherwise = "This is not the root of the mean squared distance of all residues after the best superposition."
    _expect_rmsd(kabsch_rmsd, _CORNER, _turn(_BENT), otherwise)
    ubiquitin = structures.ca_coordinates(datasets.load("1ubq"))
    native = _native("2VB1_A")
    for mobile, target, case in (
        (ubiquitin, _native("5NVG_A"), "two crystal structures of ubiquitin, 76 residues"),
        (_native("5NVG_A"), ubiquitin, "two crystal structures of ubiquitin the other way round, 76 residues"),
        (native[:40], native[60:100], "residues 1-40 of lysozyme onto residues 61-100"),
        (native.astype(np.float32)[:40], native.astype(np.float32)[60:100], "residues 1-40 onto 61-100 of lysozyme, float32"),
    ):
        _expect_rmsd(kabsch_rmsd, mobile, target, otherwise, case + _STRETCHED)


@rmsd_exercise.step("never a reflection")
def rmsd_mirror(kabsch_rmsd):
    mirrored = _CORNER * [-1.0, 1, 1]
    otherwise = "A mirror image is another molecule and cannot be laid onto the original."
    _expect_rmsd(kabsch_rmsd, _CORNER, mirrored, otherwise)
    _expect_rmsd(kabsch_rmsd, _BENT, _turn(_CORNER * [1, 1, -1.0]), otherwise)
    for axis in range(3):
        native = _native("5NVG_A")
        image = np.where(np.arange(3) == axis, -1, 1) * native
        case = f"ubiquitin{_STRETCHED} and its mirror image, {'xyz'[axis]} with the sign changed"
        _expect_rmsd(kabsch_rmsd, native, image, otherwise, case)


@rmsd_exercise.step("few points, flat ones, far away")
def rmsd_degenerate(kabsch_rmsd):
    line = np.array([[0.0, 0, 0], [3, 0, 0], [6, 0, 0]])
    steeper = np.array([[0.0, 0, 0], [0, 4, 0], [0, 8, 0]])
    flat = np.array([[0.0, 0, 0], [4, 0, 0], [4, 2, 0], [0, 3, 0], [-2, 1, 0]])
    bent = flat + [[0, 0, 2.0], [0, 0, -1], [0, 0, 0], [0, 0, 3], [0, 0, 1]]
    for mobile, target, expected, sentence in (
        (line[:1], line[1:2], 0.0, "One residue can always be laid onto another."),
        (line[:2], steeper[:2], 0.5, "Two residues, 3 and 4 Å apart: each end is off by 0.5 Å."),
        (line, steeper, np.sqrt(2 / 3), "Three residues in a line, 3 and 4 Å apart: both ends are off by 1 Å."),
        (_CORNER[:3], _turn(_CORNER[:3]), 0.0, "Three residues and a moved copy."),
        (flat, flat * [-1.0, 1, 1], 0.0, "A flat structure is its own mirror image: turned over, the one lies on the other."),
    ):
        _expect_rmsd(kabsch_rmsd, mobile, target, sentence, expected=expected, tolerance=1e-3)
    for mobile, target in ((bent, flat), (flat, bent), (bent * [-1.0, 1, 1], flat)):
        sentence = (
            "One of the two is flat. Is it the determinant of the covariance whose sign you take? That is 0 here; take the one of u @ vt."
        )
        _expect_rmsd(kabsch_rmsd, mobile, target, sentence)
    native, far = _native("2VB1_A", 0, 40), _native("2VB1_A", 60, 40) + 1e4
    sentence = "Right near the origin, and wrong 10 000 Å away from it: centre first, and compute in double precision."
    near = _best(native, far - 1e4)
    _expect_rmsd(kabsch_rmsd, native, far, sentence, "40 residues, the target shifted by 10 000 Å", expected=near, tolerance=2e-3)


@rmsd_exercise.step("shapes")
def rmsd_shapes(kabsch_rmsd):
    chain = _native("5NVG_A", 0, 5)
    for mobile, target, why in (
        (chain, chain[:1], "numpy compares one residue with all five without complaint"),
        (chain[:1], chain, "numpy compares one residue with all five without complaint"),
        (chain, chain[:4], "which residue belongs to which?"),
        (chain[:, :2], chain[:, :2], "a residue has three coordinates"),
        (chain.T, chain.T, "residues are rows, and the columns are x, y and z"),
        (chain[0], chain[0], "one residue is an array [1, 3]"),
        (np.stack([chain, chain]), np.stack([chain, chain]), "this function compares one pair of structures"),
    ):
        sentence = f"mobile of shape {list(mobile.shape)} and target of shape {list(target.shape)} must be refused: {why}."
        expect_value_error(kabsch_rmsd, mobile, target, sentence=sentence)


# ---------------------------------------------------------------------------------------------------------- 7.2 lddt_ca

lddt_exercise = Exercise(
    "7.2",
    [structures.lddt_ca],
    hints=[
        (
            "Two tables of distances [L, L], one of the native structure and one of the model. Which pairs count is decided in the native"
            " one alone; how well they are kept, by the difference of the two."
        ),
        (
            "np.linalg.norm(x[:, None] - x[None], axis=-1) gives all distances. partner = (native distances < radius) without the diagonal,"
            " ~np.eye(L, dtype=bool). For each threshold, change <= threshold is a table of True and False; average the four tables."
        ),
        (
            "kept = np.mean([change <= t for t in (0.5, 1, 2, 4)], axis=0); then (kept * partner).sum(1) / partner.sum(1), with nan where"
            " partner.sum(1) is 0."
        ),
    ],
)

_THRESHOLDS = (0.5, 1.0, 2.0, 4.0)
# a residue in the middle and five around it; in the model each is nearer or farther by exactly a threshold, the last by more
_ORDER = np.arange(6) if inputs.SEED == 0 else np.r_[0, inputs.rng().permutation(5) + 1]
_STAR = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 6], [-14, 0, 0], [0, 0, -12]])[_ORDER]
_STAR_MODEL = np.array([[0.0, 0, 0], [10.5, 0, 0], [0, 11, 0], [0, 0, 4], [-10, 0, 0], [0, 0, -7]])[_ORDER]
_STAR_CASE = (
    "6 residues, native and model as below. Residue 1 has five partners, whose distances go from 10, 10, 6, 14, 12 Å to 10.5, 11, 4, 10,"
    " 7 Å: changes of 0.5, 1, 2, 4 and 5 Å. 1, 2, 3 and 4 of 5 lie within the four thresholds, score (1/5 + 2/5 + 3/5 + 4/5) / 4 = 0.5."
    f"\n    native {_rows(_STAR)}\n    model  {_rows(_STAR_MODEL)}"
)


def _lddt(model, native, radius=15.0):
    """The reference: biotite's lDDT, per residue."""
    chain = AtomArray(len(native))
    chain.coord, chain.res_id = native.astype(np.float32), np.arange(1, len(native) + 1)
    return lddt(chain, model.astype(np.float32), aggregation="residue", inclusion_radius=radius)


def _distorted(length=30):
    """A part of ubiquitin and a model of it, with an error in each residue and the last third turned away."""
    native = _native("5NVG_A", 0, length)
    for seed in itertools.count(103):
        model = native + inputs.rng(seed).normal(size=native.shape)
        third = model[2 * length // 3 :]
        third[:] = (third - third[0])[:, [1, 2, 0]] + third[0]
        if _clear(model, native):
            return model, native


def _clear(model, native):
    """Whether no distance lies so near a radius, and no change so near a threshold, that rounding would decide."""
    a, b = _apart(model), _apart(native)
    margins = [d - radius for d in (a, b) for radius in (8, 15, 25)] + [abs(a - b) - t for t in _THRESHOLDS]
    return np.abs(margins).min() > 1e-4


def _kept(change, thresholds=_THRESHOLDS):
    """Share of the thresholds within which each distance is kept."""
    return np.mean([change <= t for t in thresholds], 0)


def _share(kept, partner, below=None):
    """Mean over the partners of each residue, nan where there is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (kept * partner).sum(1) / (partner.sum(1) if below is None else below)


def _partner_slips(model, native, radius):
    """Wrong partners, from sentence to scores."""
    a, b, n = _apart(model), _apart(native), len(native)
    off, gap = ~np.eye(n, dtype=bool), abs(np.subtract.outer(np.arange(n), np.arange(n)))
    near, share = (b < radius) & off, functools.partial(_share, _kept(abs(a - b)))
    far = "You leave out neighbours up to {} apart in the sequence: partners are all residues near in space."
    return {
        "You count a residue as its own partner: leave out the diagonal, j = i.": share(b < radius),
        (
            "Your partners are the residues that are near in the model; near in the native structure decides. (Are model and native"
            " exchanged?)"
        ): share((a < radius) & off),
        "All other residues are partners in your function, however far they are.": share(off),
        "You average over all L residues, each itself included; its partners count alone.": _kept(abs(a - b)).mean(1),
        "You count pairs near in either structure: near in the native structure decides, and it alone.": share(
            ((a < radius) | (b < radius)) & off
        ),
        "You count only pairs near in both structures: a pair near in the native structure counts even if the model tears it apart.": share(
            (a < radius) & near
        ),
        "You leave out neighbours in the sequence: partners are all residues near in space.": share(near & (gap > 1)),
        "Each pair counts for one of its residues only (i < j): partners lie before and behind a residue.": share(np.triu(near)),
        "Each pair counts for one of its residues only (j < i): partners lie before and behind a residue.": share(np.tril(near)),
    } | {far.format(k): share(near & (gap > k)) for k in (2, 3, 4, 5)}


def _lddt_slips(model, native, radius=15.0):
    """What mistakes give, from sentence to scores."""
    a, b, n = _apart(model), _apart(native), len(native)
    off, change = ~np.eye(n, dtype=bool), abs(a - b)
    near, kept = (b < radius) & off, _kept(change)
    right = _share(kept, near)
    squares = _kept(abs(a**2 - b**2))
    rounded = {f"The scores are rounded to {k} digits: give them as they are.": np.round(right, k) for k in (1, 2, 3)}
    slips = rounded | {
        "A change of exactly 0.5, 1, 2 or 4 Å counts as kept: <= and not <.": _share(np.mean([change < t for t in _THRESHOLDS], 0), near),
        "You take the difference with its sign, so that a distance that shrinks always counts as kept: abs(...).": _share(
            _kept(a - b), near
        ),
        "You take the difference with its sign, so that a distance that grows always counts as kept: abs(...).": _share(_kept(b - a), near),
        "You compare squared distances: the square root is missing.": _share(squares, (b**2 < radius) & off),
        "You compare squared distances: take the root before the difference.": _share(squares, near),
        "You divide by L - 1, by all other residues; divide by the number of partners.": _share(kept, near, n - 1),
        "You divide by L; divide by the number of partners of each residue.": _share(kept, near, n),
        "Each residue gets the mean of the whole protein: the score is asked for per residue.": np.full(n, np.nanmean(right)),
        "Each residue gets the score of the whole protein, from all pairs at once; it is asked for per residue.": np.full(
            n, (kept * near).sum() / max(near.sum(), 1)
        ),
        "You take the change relative to the distance; the thresholds are in Å.": _share(_kept(change / np.maximum(b, 1e-9)), near),
    }
    return slips | _partner_slips(model, native, radius) | _threshold_slips(model, native, change, near)


def _threshold_slips(model, native, change, near):
    """Wrong thresholds and scales, from sentence to scores; ``near`` says which pairs count."""
    moved = np.linalg.norm(superimpose(native, model)[0] - native, axis=-1)
    right, steps = _share(_kept(change), near), zip((-1.0, *_THRESHOLDS), _THRESHOLDS)
    by_one = {
        f"You use a single threshold, {t:g} Å: average over 0.5, 1, 2 and 4 Å.": _share(_kept(change, [t]), near) for t in _THRESHOLDS
    }
    return by_one | {
        "Your thresholds are those of GDT, 1, 2, 4 and 8 Å; lDDT has 0.5, 1, 2 and 4 Å.": _share(_kept(change, (1, 2, 4, 8)), near),
        "A threshold is missing, 0.5 Å: the four are 0.5, 1, 2 and 4 Å.": _share(_kept(change, (1, 2, 4)), near),
        "A threshold is missing, 4 Å: the four are 0.5, 1, 2 and 4 Å.": _share(_kept(change, (0.5, 1, 2)), near),
        "You superpose the structures and compare positions; lDDT compares distances, and nothing is superposed.": _kept(moved),
        "You superpose and compare positions as GDT does; lDDT compares distances, and nothing is superposed.": _kept(moved, (1, 2, 4, 8)),
        "You compare positions as they stand; lDDT compares distances between residues, before and after.": _kept(
            np.linalg.norm(model - native, axis=-1)
        ),
        "Each change counts for one threshold only: a change of 0.3 Å lies within all four, which are not bins.": _share(
            np.mean([(change > low) & (change <= high) for low, high in steps], 0), near
        ),
        "The score runs from 0 to 100; asked for is 0 to 1.": 100 * right,
        "You sum over the four thresholds; take the mean.": 4 * right,
        "This is the share of distances that are lost; asked for is the share that is kept.": 1 - right,
        "These are numbers of kept distances; divide by the number of partners.": _share(_kept(change), near, 1),
        "This is the mean change of the distances in Å; asked for is the share of those that change little.": _share(change, near),
    }


def _scores(lddt_ca, model, native, *radius, **options):
    """The student's scores as an array [L]; numpy may remark that 0 / 0 is nan, which is no concern of the reader here."""
    with warnings.catch_warnings(record=True):
        result = lddt_ca(model, native, *radius, **options)
    n, scored = len(native), np.isfinite(_lddt(model, native)).sum()
    why = {
        (scored,): "Residues without partners are missing: their score is nan.",
        (): "One score for the whole protein: it is asked for per residue.",
        (n, n): "One value per pair: average over the partners of each residue.",
        (n, 1): "One axis too many: sum over the partners without keepdims.",
        (4, n): "One row per threshold: average over the four.",
        (n, 4): "One column per threshold: average over the four.",
        "True and False": "Average over partners and thresholds.",
    }
    return _array("lddt_ca", result, (n,), "one score per residue", why)


def _expect_lddt(found, model, native, otherwise, case, leave_out=(), **options):
    """Compare scores, with nan counted as a value; mistakes whose sentence contains a word of ``leave_out`` are not told."""
    filled = functools.partial(np.nan_to_num, nan=-1.0)
    expected = _lddt(model, native, **options)
    worst = int(abs(filled(found) - filled(expected)).argmax())
    otherwise = f"{otherwise} Residue {worst + 1} scores {found[worst]:.4g}; right is {expected[worst]:.4g}."

    def slips():
        known = _lddt_slips(model, native, **options)
        if not options:
            other = "Your radius is {} Å; asked for is 15 Å unless the caller says otherwise."
            known |= {other.format(r): _lddt(model, native, r) for r in (8, 10, 12)}
        return {text: filled(value) for text, value in known.items() if not any(word in text for word in leave_out)}

    expect_close(filled(found), filled(expected), slips, otherwise, case)


@lddt_exercise.step("a perfect model")
def lddt_perfect(lddt_ca):
    native = _native("5NVG_A")
    for model, what in (
        (native.copy(), "the native structure itself"),
        (_turn(native), "the native structure, rotated and shifted"),
        (native * [-1.0, 1, 1], "the mirror image of the native structure (no distance changes, and nothing is superposed)"),
    ):
        found = _scores(lddt_ca, model, native)
        case = f"ubiquitin, {len(native)} residues{_STRETCHED}"
        expect(
            found.any(),
            f"Every residue scores 0 where the model is {what}: is it the lost distances that you count, the change in Å, or positions?",
            case,
        )
        otherwise = f"Every residue should score 1 where the model is {what}."
        _expect_lddt(found, model, native, otherwise, case, leave_out=("lost", "mean change", "threshold is missing", "single"))


@lddt_exercise.step("by hand")
def lddt_by_hand(lddt_ca):
    found = _scores(lddt_ca, _STAR_MODEL, _STAR)
    otherwise = "The scores are not the share of the partners' distances that are kept, averaged over the four thresholds."
    _expect_lddt(found, _STAR_MODEL, _STAR, otherwise, _STAR_CASE)
    more = _STAR_MODEL + 0.003 * np.sign(_STAR_MODEL - _STAR)
    otherwise = "A change 0.003 Å above a threshold does not count: compute in float32 or in double precision, and do not round distances."
    _expect_lddt(_scores(lddt_ca, more, _STAR), more, _STAR, otherwise, "as by hand, but with changes of 0.503, 1.003, 2.003 and 4.003 Å")


@lddt_exercise.step("partners")
def lddt_values(lddt_ca):
    model, native = _distorted()
    otherwise = "The scores are not the share of kept distances to the residues within 15 Å in the native structure, over four thresholds."
    case = "30 residues of ubiquitin and a model whose last third is turned away"
    _expect_lddt(_scores(lddt_ca, model, native), model, native, otherwise, case)
    _expect_lddt(_scores(lddt_ca, native, model), native, model, otherwise, f"{case}, with model and native exchanged")


@lddt_exercise.step("radius and residues without partners")
def lddt_radius(lddt_ca):
    model, native = _distorted()
    default = _lddt(model, native)
    for radius in (8.0, 25.0):
        for found in (_scores(lddt_ca, model, native, radius), _scores(lddt_ca, model, native, radius=radius)):
            expect(not np.allclose(found, default, atol=1e-4), f"The radius is not used: radius={radius:g} gives the scores of 15 Å.")
            otherwise = f"Right for a radius of 15 Å, and wrong for {radius:g} Å."
            _expect_lddt(found, model, native, otherwise, f"30 residues, radius={radius:g}", radius=radius)
    alone = np.array([[0.0, 0, 0], [4, 0, 0], [8, 0, 0], [100, 0, 0]])
    closer = np.array([[0.0, 0, 0], [4, 0, 0], [8, 0, 0], [12, 0, 0]])
    for model, native, case in (
        (closer, alone, "four residues at x = 0, 4, 8 and 100 Å, the last moved to 12 Å in the model"),
        (alone[:1], alone[:1], "a chain of one residue"),
        (closer[[0, 3]], alone[[0, 3]], "two residues 100 Å apart, in the model 12 Å"),
    ):
        found = _scores(lddt_ca, model, native)
        last = f"Residue {len(native)} has no other residue within 15 Å in the native structure and scores {found[-1]:.4g}"
        expect(np.isnan(found[-1]) or np.isfinite(found[:-1]).any() or len(native) < 3, "Every residue gets nan or inf.", case)
        expect(np.isnan(found[-1]), f"{last}; asked for is nan: there is nothing to judge it by, good or bad.", case)
        _expect_lddt(found, model, native, "A residue without partners is nan, and the others keep their scores.", case)


@lddt_exercise.step("shapes")
def lddt_shapes(lddt_ca):
    chain = _native("5NVG_A", 0, 5)
    for model, native, why in (
        (chain[:1], chain, "numpy compares one residue with all five without complaint"),
        (chain, chain[:1], "numpy compares one residue with all five without complaint"),
        (chain, chain[:4], "which residue belongs to which?"),
        (chain[:, :2], chain[:, :2], "a residue has three coordinates"),
        (chain.T, chain.T, "residues are rows, and the columns are x, y and z"),
        (chain[0], chain[0], "one residue is an array [1, 3]"),
    ):
        sentence = f"A model of shape {list(model.shape)} and a native structure of shape {list(native.shape)} must be refused: {why}."
        with warnings.catch_warnings(record=True):
            expect_value_error(lddt_ca, model, native, sentence=sentence)


# -------------------------------------------------------------------------------------------------- 7.3 read_confidence

confidence_exercise = Exercise(
    "7.3",
    [structures.read_confidence],
    hints=[
        (
            "A PDB file has one line per atom, and every number has its own columns. You need one atom per residue, the C-alpha, and the"
            " column of the B-factor; then the scale has to be found out."
        ),
        (
            "biotite reads the columns: PDBFile.read(io.StringIO(pdb_text)).get_structure(model=1, extra_fields=['b_factor']) has"
            " atom_name, element and b_factor. By hand: line[:6] is the record, line[12:16] the atom, line[60:66] the B-factor; stop at"
            " ENDMDL."
        ),
        (
            "values = atoms.b_factor[(atoms.atom_name == 'CA') & (atoms.element != 'CA')]; if there is none, or one below 0 or above 100,"
            " raise ValueError; values * 100 if values.max() <= 1, and values as they are otherwise."
        ),
    ],
)

_BACKBONE = {" N  ": -2.5, " CA ": 0.0, " C  ": 1.25, " O  ": -7.5}  # how far an atom's value lies from that of the C-alpha


def _line(record, name, value, place, *, serial=1, residue="ALA", xyz=(1.0, 2.0, 3.0), occupancy=1.0, alternate=" ", element=None):
    """A line of a PDB file; ``place`` is the chain and the number of a residue with its insertion code, such as "A  52 "."""
    coordinates = "".join(f"{value:8.3f}" for value in xyz)
    start = f"{record:<6}{serial:>5} {name}{alternate}{residue} {place}   {coordinates}"
    return f"{start}{occupancy:6.2f}{value:6.2f}          {element or name.strip()[0]:>2}"


def _places(length, chain="A", first=1):
    return [f"{chain}{first + i:>4} " for i in range(length)]


def _lowered(*values):
    """Confidences as they are with the course seed 0, each lower by a whole number, another for each seed, with any other."""
    return (np.array(values) - (inputs.rng().integers(1, 9, len(values)) if inputs.SEED else 0)).round(2).tolist()


def _residues(values, places=None, scale=1.0, **options):
    """Lines of the backbone atoms of residues whose C-alpha atoms have these values, and other atoms others."""
    return [
        _line("ATOM", name, scale * (value + more), place, serial=1 + 4 * i + j, **options)
        for i, (value, place) in enumerate(zip(values, places or _places(len(values))))
        for j, (name, more) in enumerate(_BACKBONE.items())
    ]


def _text(*lines):
    return "\n".join([*lines, "END", ""])


def _block(lines):
    """Lines of a file, below the sentence."""
    return "\n" + "\n".join(f"    {line}" for line in lines)


def _show(lines, name=" CA "):
    return _block([line for line in lines if line[12:16] == name][:3])


def _confidence(read_confidence, lines, values, sentence="", why=(), case=None):
    """The student's values for a file, as an array of as many as there are residues."""
    case = case or _show(lines)
    try:
        result = read_confidence(_text(*lines))
    except Wrong as wrong:
        raise Wrong(f"{sentence} {wrong}".strip(), case) from wrong
    n, shape = len(values), getattr(result, "shape", None)
    last = max([int(line[22:26]) for line in lines if line.startswith("ATOM")], default=0)
    known = {
        (): "One value for the whole file: it is asked for per residue.",
        (sum(line.startswith("ATOM") for line in lines),): "One value per atom: it is asked for per residue, that of the C-alpha.",
        (0,): "Nothing was found: the name of a C-alpha atom is 'CA' after .strip().",
        "text": "Numbers are float(...) of the text.",
    }
    if last > n + 1:
        known |= dict.fromkeys([(last,), (last + 1,)], "The number of a residue is not its place in the array: chains begin anywhere.")
    try:
        return _array("read_confidence", result, (n,), f"one value for each of the {n} residues", known | dict(why))
    except Wrong as wrong:
        expect(shape is None or shape == (n,), f"{sentence} {wrong}".strip(), case)
        raise


def _expect_confidence(read_confidence, lines, values, otherwise, slips=(), why=(), case=None):
    found = _confidence(read_confidence, lines, values, otherwise, why, case)
    shown = f" You get {_rows(found)}; right is {_rows(values)}."
    slips = {sentence + shown: np.ascontiguousarray(value) for sentence, value in dict(slips).items()}
    expect_close(found, np.array(values), slips, otherwise + shown, case or _show(lines), tolerance=1e-5)


@confidence_exercise.step("one value per residue")
def confidence_per_residue(read_confidence):
    values = _lowered(91.25, 45.5, 70.0, 88.12, 33.3)
    lines = _residues(values)
    right, table = np.array(values), np.add.outer(values, list(_BACKBONE.values()))
    slips = {
        "This is the occupancy (columns 55-60); the B-factor comes behind it (columns 61-66).": np.ones(5),
        "This is the occupancy (columns 55-60), times 100; the B-factor comes behind it (columns 61-66).": np.full(5, 100.0),
        "This is the z coordinate; the B-factor stands in columns 61-66.": np.full(5, 3.0),
        "These are the numbers of the residues.": np.arange(1.0, 6),
        "You average over the atoms of a residue; asked for is the value of its C-alpha atom.": table.mean(1),
        "This is the value of N, the first atom of the residue; asked for is that of C-alpha.": table[:, 0],
        "This is the value of C, not of C-alpha, whose name is CA.": table[:, 2],
        "This is the value of O, the last atom of the residue; asked for is that of C-alpha.": table[:, 3],
        "This is the largest value in a residue; asked for is that of C-alpha.": table.max(1),
        "This is the mean over all residues: one value each is asked for.": np.full(5, right.mean()),
        "The values are sorted; they come in the order of the file.": np.sort(right),
        "The values are sorted downwards; they come in the order of the file.": np.sort(right)[::-1],
        "The order is reversed; the values come in the order of the file.": right[::-1],
        "The values are rounded: give them as they stand in the file.": np.round(right),
        "You cut off the decimals: float(...) and not int(...).": np.floor(right),
        "You cut off the last column: the B-factor is line[60:66].": np.floor(10 * right) / 10,
        "You multiply by 100 a file that has values up to 100 already.": 100 * right,
        "You divide by 100: the scale asked for runs from 0 to 100.": right / 100,
        "You scale by the largest value; a file with values above 1 stays as it is.": 100 * right / right.max(),
    }
    otherwise = "The values are not the B-factors of the C-alpha atoms."
    _expect_confidence(read_confidence, lines, values, otherwise, slips, case=_block(lines[:4]))


@confidence_exercise.step("either scale")
def confidence_scale(read_confidence):
    for values, why in (
        (_lowered(87.0, 45.0, 70.0, 93.0), "No value is above 1, so the file runs from 0 to 1: multiply by 100."),
        (_lowered(42.0, 21.0, 35.0), "No value is above 1, so the file runs from 0 to 1: multiply by 100."),
        ([100.0, 45.0, 97.0], "The largest value is 1.00, which is the best on the scale from 0 to 1: multiply by 100 (max <= 1)."),
    ):
        lines, right = _residues(values, scale=0.01), np.array(values)
        if max(values) == 100:
            lines = [line for line in lines if line[12:16] == " CA "]
        slips = {
            f"The file is left as it is. {why}": right / 100,
            "You divide by the largest value: multiply by 100, or a poor model looks perfect.": 100 * right / right.max(),
            "You stretch the values from the smallest to the largest; multiply by 100.": 100 * (right - right.min()) / np.ptp(right),
            "Values of 1 stay as they are, and the others are multiplied: the scale is that of the whole file.": np.where(
                right < 100, right, 1.0
            ),
        }
        _expect_confidence(read_confidence, lines, values, why, slips)
    for values, why in (
        (
            _lowered(38.0, 12.5, 49.0, 27.0),
            "All values are below 50 and above 1: a poor model on the scale from 0 to 100, which stays as it is.",
        ),
        ([62.0, 0.8, 35.0, 1.0], "One value is above 1, so the whole file runs from 0 to 100 and stays as it is."),
        ([0.4, 0.9, 1.3], "One value is above 1, so the whole file runs from 0 to 100 and stays as it is."),
    ):
        lines, right = [line for line in _residues(values) if line[12:16] == " CA "], np.array(values)
        slips = {
            "You multiply by 100 a file that runs from 0 to 100.": 100 * right,
            "You look at each residue by itself: the largest value of the file decides for all.": np.where(right <= 1, 100 * right, right),
            "You look at each residue by itself, and the largest value of the file decides for all.": np.where(
                right < 1, 100 * right, right
            ),
            "You divide by the largest value; the file stays as it is.": 100 * right / right.max(),
        }
        _expect_confidence(read_confidence, lines, values, why, slips)


@confidence_exercise.step("columns")
def confidence_columns(read_confidence):
    values = _lowered(90.0, 75.5, 60.25)
    for what, lines, right in (
        ("Large negative coordinates touch each other", _residues(values, xyz=(-101.234, -102.345, -103.456)), values),
        ("The chain and a number of four digits touch", _residues(values, _places(3, first=1000)), values),
        (
            "An occupancy of 1.00 and a B-factor of 100.00 touch",
            [_line("ATOM", " CA ", value, place) for value, place in zip((100.0, 75.5, 100.0), _places(3))],
            [100.0, 75.5, 100.0],
        ),
        ("There is no chain letter", _residues(values, _places(3, chain=" ")), values),
        (
            "The name of a side-chain atom fills its four columns",
            [*_residues(values), _line("ATOM", "HH21", 12.0, "A   3 ", serial=13, residue="ARG", alternate="A")],
            values,
        ),
    ):
        shown = _show(lines[-1:], "HH21") if "side-chain" in what else None
        sentence = f"{what}: a PDB line has fixed columns, which line.split() does not see. The B-factor is line[60:66]."
        _expect_confidence(read_confidence, lines, right, sentence, case=shown)


def _files():
    """Files that hold more than the C-alpha atoms of one chain: (what is to be known, lines, values, lines to show)."""
    values = _lowered(90.0, 75.5, 60.25)
    chain = _residues(values)
    calcium = _line("HETATM", "CA  ", 20.0, "A 201 ", serial=13, residue=" CA", element="CA")
    water = _line("HETATM", " O  ", 30.0, "A 301 ", serial=14, residue="HOH")
    sentence = "The CA of element CA in a HETATM line is calcium, an ion and no residue."
    yield sentence, [*chain, "TER", calcium, water], values, [chain[9], calcium]
    moves = chain[1].replace("ATOM  ", "ANISOU")[:28] + "   2406   1892   1614    198    519   -328       C"
    sentence = "ANISOU lines repeat the name of the atom and hold no B-factor: read the lines that begin with ATOM."
    yield sentence, [*chain[:2], moves, *chain[2:]], values, [chain[1], moves]
    remark = ["REMARK   1 CA ATOMS HOLD THE PLDDT", "TITLE     CA", "REMARK   2 C  CA  IS ATOM 2"]
    yield "Lines that are no atoms can hold the letters CA as well.", [*remark, *chain], values, remark
    lines = _residues([50.0, *values], ["A  -1 ", "A  52 ", "A  52A", "A  60 "])
    sentence = "Residue numbers start anywhere, have gaps, and come twice with an insertion code (52 and 52A): count the C-alpha atoms."
    yield sentence, lines, [50.0, *values], lines[1::4]
    second = _residues([80.0, 40.0], _places(2, "B"))
    sentence = "Two chains may use the same residue numbers; all chains count, and a dictionary by number merges them."
    yield sentence, [*chain, "TER", *second, "TER"], [*values, 80.0, 40.0], [chain[1], second[1]]
    models = ["MODEL        1", *chain, "ENDMDL", "MODEL        2", *_residues([30.0, 20.0, 10.0]), "ENDMDL"]
    sentence = "Of several models in a file the first is read: what follows the first ENDMDL does not count."
    yield sentence, models, values, [models[k] for k in (0, 2, 13, 14, 16)]


@confidence_exercise.step("which atoms count")
def confidence_atoms(read_confidence):
    for sentence, lines, values, shown in _files():
        _expect_confidence(read_confidence, lines, values, sentence, case=_block(shown))


@confidence_exercise.step("no confidences")
def confidence_refused(read_confidence):
    chain = _residues([90.0, 75.5])
    calcium = _line("HETATM", "CA  ", 20.0, "A 201 ", residue=" CA", element="CA")
    crystal, negative = ([line for line in _residues(values) if line[12:16] == " CA "] for values in ((90.0, 120.5), (-5.0, 60.0)))
    for lines, why in (
        ([line for line in chain if line[12:16] != " CA "], "A file with N, C and O atoms but no C-alpha holds no residue"),
        ([calcium], "A file with a calcium ion alone holds no residue"),
        (["REMARK   1 NOTHING HERE"], "A file without atoms holds no residue"),
        (crystal, "A value above 100 (here 90 and 120.5) is the B-factor of a crystal structure; a confidence lies between 0 and 100"),
        (negative, "A negative value (here -5 and 60) is no confidence, which lies between 0 and 100"),
    ):
        with warnings.catch_warnings(record=True):  # such as numpy's on the mean of nothing
            expect_value_error(read_confidence, _text(*lines), sentence=f"{why}: raise a ValueError.")


@confidence_exercise.step("an experimental structure")
def confidence_crystal(read_confidence):
    values = _lowered(90.0, 75.5, 60.25)
    chain = _residues(values)
    places = [
        _line("ATOM", " CA ", value, "A   2 ", serial=6, occupancy=share, alternate=letter)
        for letter, value, share in (("A", values[1], 0.6), ("B", values[1] - 10, 0.4))
    ]
    sentence = "A C-alpha atom with two alternate locations, A and B, is one residue: the first one counts."
    _expect_confidence(read_confidence, [*chain[:5], *places, *chain[6:]], values, sentence, case=_block(places))
    crystal = datasets.load("1ubq")
    values = crystal.b_factor[(crystal.atom_name == "CA") & (crystal.element != "CA")].astype(float)
    lines = datasets.path("1ubq").read_text().splitlines()
    sentence = "A file from the Protein Data Bank has more kinds of lines; its B-factors are no confidences, but read the same way."
    _expect_confidence(read_confidence, lines, values, sentence, case="the file 1ubq.pdb")


# -------------------------------------------------------------------------------------- 7.4 coordinates_from_distances

coordinates_exercise = Exercise(
    "7.4",
    [structures.coordinates_from_distances],
    hints=[
        (
            "Squared distances are almost inner products: |x - y|² = |x|² + |y|² - 2 x·y. Centring rows and columns removes the first two"
            " terms, and a table of inner products is x @ x.T, whose eigenvectors give x back."
        ),
        (
            "np.linalg.eigh sorts eigenvalues upwards: the three largest are the last ones. An eigenvector is a column, and has to be"
            " multiplied by the root of its eigenvalue (0 where that is negative). Then pc.handedness tells the molecule from its mirror"
            " image."
        ),
        (
            "squared = distances**2; gram = -0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()); values, vectors"
            " = np.linalg.eigh(gram); xyz = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0)), filled up with columns of zeros for one"
            " or two residues; and if pc.handedness(xyz) < 0, -xyz is the other hand."
        ),
    ],
)

_HANDS = ("2CA5_A", "3A02_A", "2I0M_A", "3BD1_B", "2BYK_A", "2QNW_A", "2R5F_A", "1QYS_A")  # helices, the last with sheets
_SHEETS = ("2F68_A", "2YZY_A", "3D9A_B", "3NDZ_D")  # mostly sheets
_TRIANGLE = np.array([[0.0, 3, 5], [3, 0, 4], [5, 4, 0]])


def _gram(d):
    """Inner products of centred coordinates, with matrices that centre."""
    centre = np.eye(len(d)) - 1 / len(d)
    return -0.5 * centre @ d**2 @ centre


def _embedded(gram, root=lambda values: np.sqrt(np.maximum(values, 0))):
    """Coordinates from the three largest eigenvalues, fewer columns for fewer residues."""
    values, vectors = np.linalg.eigh(gram)
    return vectors[:, -3:] * root(values[-3:])


def _centring_slips(d):
    """Coordinates from wrong inner products, from sentence to coordinates."""
    squared, gram = d**2, _gram(d)
    from_first = (squared[:1] + squared[:1].T - squared) / 2
    rows = [-0.5 * (squared - squared.mean(0)), -0.5 * (squared - squared.mean(0)[:, None])]
    unshaped = "You subtract the same means twice: those of the rows need a second axis, squared.mean(1)[:, None], or keepdims=True."
    halves = "Rows or columns alone are centred: subtract the means of both, and add the mean of all."
    return {
        "You centre the distances themselves: square them first.": _embedded(_gram(np.sqrt(d))),
        "You do not centre: subtract the means of rows and columns, and add the mean of all.": _embedded(-0.5 * squared),
        "Nothing is centred and the sign is missing: the eigenvectors are those of the squared distances.": _embedded(squared),
        "Nothing is centred or squared: the eigenvectors are those of the distances.": _embedded(d),
        unshaped: _embedded(-0.5 * (squared - squared.mean(0) - squared.mean(1) + squared.mean())),
        halves: _embedded((rows[0] + rows[1]) / 2),
        "You centre the rows alone: subtract the means of the columns too, and add the mean of all.": _embedded(rows[0]),
        "You centre the columns alone: subtract the means of the rows too, and add the mean of all.": _embedded(rows[1]),
        "You subtract the mean of all alone: rows and columns have means of their own.": _embedded(-0.5 * (squared - squared.mean())),
        (
            "One dimension is lost. Either two eigenvectors are kept instead of three, or the mean of all is not added again after rows"
            " and columns are centred: then the first column is a constant."
        ): _embedded(gram)[:, -2:],
        "The factor 1/2 is missing: squared distances are -2 times the inner products.": _embedded(2 * gram),
        "The sign is turned: squared distances are minus 2 times the inner products.": _embedded(-gram),
        "The factor is -2 where -1/2 is meant.": _embedded(4 * gram),
        "You measure inner products from the first residue; asked for is the centre: right for exact distances alone.": _embedded(
            from_first
        ),
    }


def _eigenvector_slips(d):
    """Coordinates from the wrong eigenvectors or in the wrong scale, from sentence to coordinates."""
    gram = _gram(d)
    values, vectors = np.linalg.eigh(gram)
    by_size = np.argsort(abs(values))[-3:]
    return {
        "You multiply by the eigenvalues; multiply by their square roots.": _embedded(gram, lambda values: values),
        "These are the eigenvectors alone: multiply each by the root of its eigenvalue.": _embedded(gram, np.ones_like),
        "You take the smallest eigenvalues: np.linalg.eigh sorts upwards, the largest are the last. (np.linalg.eig does not sort.)": (
            vectors[:, :3] * np.sqrt(np.maximum(values[:3], 0))
        ),
        "You take the vectors of the smallest eigenvalues, multiplied by the largest: np.linalg.eigh sorts upwards.": (
            vectors[:, :3] * np.sqrt(np.maximum(values[-3:], 0))
        ),
        "Vectors and eigenvalues are in opposite order: turn both round, or neither.": (
            vectors[:, -3:] * np.sqrt(np.maximum(values[::-1][: len(values[-3:])], 0))
        ),
        "You take rows where eigenvectors are columns: vectors[:, -3:].": vectors[-3:].T * np.sqrt(np.maximum(values[-3:], 0)),
        "You take the first columns of the transposed vectors; eigenvectors are columns: vectors[:, -3:].": (
            vectors.T[:, -3:] * np.sqrt(np.maximum(values[-3:], 0))
        ),
        "The largest eigenvalue is left out, and the second largest comes first: [-3:] takes the last three.": (
            vectors[:, -4:-1] * np.sqrt(np.maximum(values[-4:-1], 0))
        ),
        "The result is in nanometres; asked for is Å.": _embedded(gram) / 10,
        "You take eigenvalues by size, negative ones too (abs, or an SVD): take the three largest, and 0 for negative ones.": (
            vectors[:, by_size] * np.sqrt(abs(values[by_size]))
        ),
        "You take the root of a negative eigenvalue without its sign (abs): put 0 in its place (np.maximum).": _embedded(
            gram, lambda values: np.sqrt(abs(values))
        ),
    }


def _mds_slips(d):
    """What mistakes give, from sentence to the distances of the coordinates that come out."""
    return {sentence: _apart(xyz) for sentence, xyz in (_centring_slips(d) | _eigenvector_slips(d)).items()}


def _coordinates(coordinates_from_distances, d, case):
    """The student's coordinates as an array [L, 3] of finite numbers."""
    n = len(d)
    with warnings.catch_warnings(record=True) as noted:  # a root of a negative number is told below
        try:
            result = coordinates_from_distances(d)
        except Wrong as wrong:
            raise Wrong(str(wrong), case) from wrong
    why = {
        (3, n): "Residues are rows: .T is missing, or one too many.",
        (n, n): "All eigenvectors are in it: keep the three largest.",
        (n, 2): "A molecule has three dimensions" + (", and [:, -3:] finds two columns only: add a column of zeros." if n == 2 else "."),
        (n, 1): "Three coordinates are asked for, however few residues there are: add columns of zeros.",
        "complex numbers": "np.linalg.eigh gives real numbers for a symmetric matrix; np.linalg.eig and roots of negative numbers do not.",
    }
    try:
        found = _array("coordinates_from_distances", result, (n, 3), "one row per residue", why)
    except Wrong as wrong:
        raise Wrong(str(wrong), case) from wrong
    root = "the root of a negative eigenvalue (put 0 in its place, np.maximum)" if noted else "a division by 0"
    expect(np.isfinite(found).all(), f"The coordinates hold nan or inf. Is it {root}?", case)
    return found


def _expect_distances(coordinates_from_distances, d, otherwise, case):
    """The distances of the student's coordinates must be those of the three largest eigenvectors; for exact distances, these."""
    expected, found = _apart(_embedded(_gram(d))), _apart(_coordinates(coordinates_from_distances, d, case))
    if expected.any() and not found.any():
        why = "The sign is turned: squared distances are minus 2 times the inner products."
        if len(d) < 4:
            why = "pc.handedness is 0 for fewer than four residues, and np.sign(0) is 0: there, either hand will do."
        raise Wrong(f"All residues come out at the same place. {why}", case)
    i, j = np.unravel_index(abs(found - expected).argmax(), d.shape)
    shown = f"Residues {min(i, j) + 1} and {max(i, j) + 1} come out {found[i, j]:.4g} Å apart; right is {expected[i, j]:.4g} Å."
    mistakes = functools.cache(lambda: {f"{sentence} {shown}": value for sentence, value in _mds_slips(d).items()})
    expect_close(found, expected, mistakes, f"{otherwise} {shown}", case, tolerance=1e-3)


@coordinates_exercise.step("distances come back")
def coordinates_distances(coordinates_from_distances):
    otherwise = "The coordinates do not have the distances that were given."
    for xyz in (_CORNER, np.vstack([_CORNER, _BENT])):
        d = _apart(xyz)
        _expect_distances(coordinates_from_distances, d, otherwise, f"distances {_rows(d)}" if len(d) == 4 else "distances of 8 points")
    for name in ("5NVG_A", "3FIL_A"):
        d = _apart(_native(name))
        case = f"C-alpha distances of {name[:4]}, {len(d)} residues{_STRETCHED}"
        _expect_distances(coordinates_from_distances, d, otherwise, case)


def _mirrored(coordinates_from_distances, names):
    """Which of these chains come out as their mirror image; each must come out as one or the other."""
    wrong = []
    for name in names:
        native = _native(name)
        found = _coordinates(coordinates_from_distances, _apart(native), name)
        right, other = _best(found, native), _best(found * [1, 1, -1], native)
        case = f"C-alpha distances of {name[:4]}, {len(native)} residues{_STRETCHED}"
        expect(min(right, other) < 0.01, f"The coordinates lie {min(right, other):.3g} Å (RMSD) from the native ones.", case)
        wrong += [name] if other < right else []
    return wrong


@coordinates_exercise.step("the right hand", points=2)
def coordinates_hand(coordinates_from_distances):
    helical, flat = (_mirrored(coordinates_from_distances, names) for names in (_HANDS, _SHEETS))
    wrong, total = len(helical) + len(flat), len(_HANDS) + len(_SHEETS)
    case = f"{', '.join(name[:4] for name in helical + flat)} come out mirrored"
    expect(
        wrong < total,
        f"All of {total} chains come out as their mirror image: the hand is measured, and the wrong one is kept. pc.handedness is above 0"
        " for natural proteins.",
        case,
    )
    expect(
        len(helical) > 2 or len(flat) < len(_SHEETS),
        "Helices come out with the right hand, sheets as their mirror image: the pseudo-dihedrals of a strand lie near -170°, on the other"
        " side of 0 than those of a helix. pc.handedness knows both.",
        case,
    )
    expect(
        not wrong,
        f"{wrong} of {total} chains come out as their mirror image, the wrong hand. Distances cannot tell: measure the hand with"
        " pc.handedness, and where it is below 0, change the sign of one column, or of all three. (Of two columns, it is a rotation.)",
        case,
    )


@coordinates_exercise.step("few residues, distances that do not fit")
def coordinates_few(coordinates_from_distances):
    for d, what in (
        (_TRIANGLE, "three residues: no pseudo-dihedral, so either hand will do"),
        (_TRIANGLE[:2, :2], "two residues"),
        (_TRIANGLE[:1, :1], "one residue"),
        (_apart(np.array([[0.0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]])), "a flat square"),
        (_apart(np.arange(6.0)[:, None] * [1, 2, 2]), "six residues in a line"),
    ):
        case = f"distances {_rows(d)}, {what}"
        _expect_distances(coordinates_from_distances, d.copy(), "The coordinates do not have the distances that were given.", case)
    impossible = np.array([[0.0, 1, 5], [1, 0, 1], [5, 1, 0]])
    noise = inputs.rng().normal(0, 2, size=(40, 40))
    rough = abs(_apart(_native("3FIL_A", 0, 40)) + noise + noise.T) * (1 - np.eye(40))
    for d, what in ((impossible, f"distances {_rows(impossible)}"), (rough, "40 residues, distances with errors of about 3 Å")):
        otherwise = (
            "Predicted distances fit into no space exactly, and some eigenvalues are negative. Asked for are the three largest, with 0 in"
            " place of negative ones."
        )
        _expect_distances(coordinates_from_distances, d, otherwise, what)


@coordinates_exercise.step("no distances")
def coordinates_refused(coordinates_from_distances):
    for d, what, why in (
        (_TRIANGLE[:2], "is not square: 2 rows and 3 columns", ""),
        (_TRIANGLE[:, :2], "is not square: 3 rows and 2 columns", ""),
        (_TRIANGLE[0], "is a single row, with one dimension", ""),
        (_TRIANGLE + [[0, 2, 0], [0, 0, 0], [0, 0, 0]], "is not symmetric", " It is 5 Å from residue 1 to 2, and 3 Å back."),
        (_TRIANGLE * [[0, -1, 1], [-1, 0, 1], [1, 1, 0]], "has a negative distance", " -3 Å between residues 1 and 2 is no distance."),
        (np.where(_TRIANGLE == 3, np.nan, _TRIANGLE), "holds nan", " Nothing is known of residues 1 and 2."),
        (_TRIANGLE + np.diag([0.0, 1, 0]), "is not zero on the diagonal", " Residue 2 would lie 1 Å away from itself."),
        (_TRIANGLE + np.diag([1.0, 0, -1]), "is not zero on the diagonal", " Its entries add up to 0, but each must be 0."),
    ):
        expect_value_error(coordinates_from_distances, d, sentence=f"The matrix {_rows(d)} {what}, and must be refused.{why}")
