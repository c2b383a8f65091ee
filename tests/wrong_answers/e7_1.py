"""Exercise 7.1, kabsch_rmsd."""
import numpy as np
import torch
from scipy.linalg import orthogonal_procrustes
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation


def pair(mobile, target):
    """Both as float arrays of their own, or a ValueError."""
    mobile, target = np.array(mobile, float), np.array(target, float)
    if mobile.ndim != 2 or mobile.shape[1] != 3 or mobile.shape != target.shape:
        raise ValueError(f"expected two arrays [N, 3], not {list(mobile.shape)} and {list(target.shape)}")
    return mobile, target


def centred(mobile, target):
    mobile, target = pair(mobile, target)
    return mobile - mobile.mean(0), target - target.mean(0)


def turn(mobile, target):
    """The best proper rotation of centred coordinates, for mobile @ rotation.T."""
    u, _, vt = np.linalg.svd(target.T @ mobile)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt


def root(moved, target):
    return float(np.sqrt(((moved - target) ** 2).sum(1).mean()))


def wrong_kabsch_rmsd__reflection_allowed(mobile, target):
    """U V^T as it comes: a mirror image fits perfectly.

    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(target.T @ mobile)
    return root(mobile @ (u @ vt).T, target)


def wrong_kabsch_rmsd__orthogonal_procrustes(mobile, target):
    """SciPy's orthogonal_procrustes allows reflections.

    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    return root(mobile @ orthogonal_procrustes(mobile, target)[0], target)


def wrong_kabsch_rmsd__singular_values_uncorrected(mobile, target):
    """The formula without a rotation: all three singular values count, also where they belong to a reflection.

    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    s = np.linalg.svd(target.T @ mobile, compute_uv=False)
    return float(np.sqrt(max(0, (mobile ** 2).sum() + (target ** 2).sum() - 2 * s.sum()) / len(mobile)))


def wrong_kabsch_rmsd__better_of_both_hands(mobile, target):
    """Tries the mirror image as well and keeps the better one.

    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    return min(root(m @ turn(m, target).T, target) for m in (mobile, -mobile))


def wrong_kabsch_rmsd__always_flips(mobile, target):
    """Turns the third axis round whatever the determinant says: a reflection unless one was needed.

    message: mirror
    message: reflection
    message: determinant
    """
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(target.T @ mobile)
    return root(mobile @ (u @ np.diag([1, 1, -1]) @ vt).T, target)


def wrong_kabsch_rmsd__flips_the_strongest_axis(mobile, target):
    """Against a mirror image, turns the first axis round instead of the weakest: a rotation, but a bad one.

    message: weakest
    message: smallest
    message: last
    message: third
    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(target.T @ mobile)
    return root(mobile @ (u @ np.diag([np.sign(np.linalg.det(u @ vt)), 1, 1]) @ vt).T, target)


def wrong_kabsch_rmsd__negates_the_rotation(mobile, target):
    """Against a mirror image, changes the sign of the whole matrix: its determinant is 1, and it is not the best.

    message: weakest
    message: smallest
    message: last
    message: third
    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(target.T @ mobile)
    return root(mobile @ (u @ vt * np.sign(np.linalg.det(u @ vt))).T, target)


def wrong_kabsch_rmsd__negates_a_column(mobile, target):
    """Changes the sign of the last column of the finished matrix, not of the weakest singular vector.

    message: weakest
    message: smallest
    message: last
    message: third
    message: mirror
    message: reflection
    """
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(target.T @ mobile)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    return root(mobile @ rotation.T, target)


def wrong_kabsch_rmsd__v_taken_for_its_transpose(mobile, target):
    """NumPy's svd returns V^T; this transposes it once more.

    message: transpose
    message: differ
    message: rotation
    """
    mobile, target = centred(mobile, target)
    u, _, v = np.linalg.svd(target.T @ mobile)
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v.T))]) @ v.T
    return root(mobile @ rotation.T, target)


def wrong_kabsch_rmsd__no_centring(mobile, target):
    """Rotates about the origin, wherever the structures lie.

    message: centr
    message: center
    message: shift
    message: translat
    """
    mobile, target = pair(mobile, target)
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__centres_one(mobile, target):
    """Centres the mobile structure only.

    message: centr
    message: center
    message: shift
    message: translat
    """
    mobile, target = pair(mobile, target)
    mobile = mobile - mobile.mean(0)
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__one_mean_for_all_axes(mobile, target):
    """`.mean()` without an axis: one number is subtracted from x, y and z.

    message: centr
    message: center
    message: axis
    message: shift
    message: translat
    """
    mobile, target = pair(mobile, target)
    mobile, target = mobile - mobile.mean(), target - target.mean()
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__first_residue_at_the_origin(mobile, target):
    """Lays the first residues onto each other instead of the centres.

    message: centr
    message: center
    message: first residue
    message: shift
    message: translat
    """
    mobile, target = pair(mobile, target)
    mobile, target = mobile - mobile[0], target - target[0]
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__shifts_by_the_unturned_centre(mobile, target):
    """Rotates the structure where it lies, then shifts by the difference of the centres before the rotation.

    message: centr
    message: center
    message: shift
    message: translat
    """
    mobile, target = pair(mobile, target)
    rotation = turn(mobile - mobile.mean(0), target - target.mean(0))
    return root(mobile @ rotation.T + target.mean(0) - mobile.mean(0), target)


def wrong_kabsch_rmsd__transposed_rotation(mobile, target):
    """The rotation is the right one, but goes the wrong way.

    message: transpose
    message: inverse
    message: wrong way
    """
    mobile, target = centred(mobile, target)
    return root(mobile @ turn(mobile, target), target)


def wrong_kabsch_rmsd__no_superposition(mobile, target):
    """Compares the coordinates as they are.

    message: superpos
    message: rotat
    message: as they are
    """
    return root(*pair(mobile, target))


def wrong_kabsch_rmsd__centred_only(mobile, target):
    """Lays the centres onto each other and does not turn.

    message: rotat
    message: turn
    """
    return root(*centred(mobile, target))


def wrong_kabsch_rmsd__superposes_three_residues(mobile, target):
    """The rotation comes from the first three residues only.

    message: all residues
    message: first three
    message: rotation
    message: best
    message: least
    """
    mobile, target = centred(mobile, target)
    return root(mobile @ turn(mobile[:3] - mobile[:3].mean(0), target[:3] - target[:3].mean(0)).T, target)


def wrong_kabsch_rmsd__principal_axes(mobile, target):
    """Turns each structure onto its own principal axes: no residue is paired with another.

    message: pair
    message: rotation
    message: best
    message: least
    """
    shapes = []
    for xyz in centred(mobile, target):
        axes = np.linalg.eigh(xyz.T @ xyz)[1]
        shapes.append(xyz @ axes * [1, 1, np.sign(np.linalg.det(axes))])
    return root(*shapes)


def wrong_kabsch_rmsd__scales_as_well(mobile, target):
    """Procrustes with a scale: a structure of twice the size fits.

    message: scal
    message: size
    """
    mobile, target = centred(mobile, target)
    moved = mobile @ turn(mobile, target).T
    return root(moved * (moved * target).sum() / max((moved ** 2).sum(), 1e-12), target)


def wrong_kabsch_rmsd__leaves_outliers_out(mobile, target):
    """As PyMOL's align: throws the worst residues out and superposes the rest again.

    message: all residues
    message: outlier
    message: all pairs
    message: differ
    """
    mobile, target = pair(mobile, target)
    for _ in range(3):
        a, b = centred(mobile, target)
        off = np.linalg.norm(a @ turn(a, b).T - b, axis=1)
        keep = off <= 2 * np.sqrt((off ** 2).mean()) + 1e-6
        mobile, target = mobile[keep], target[keep]
    a, b = centred(mobile, target)
    return root(a @ turn(a, b).T, b)


def wrong_kabsch_rmsd__minimises_too_briefly(mobile, target):
    """Minimises over the rotation vector, for three rounds from zero: not there yet when far away.

    message: best
    message: least
    message: minimum
    message: rotat
    message: superpos
    """
    mobile, target = centred(mobile, target)

    def loss(angles):
        return ((Rotation.from_rotvec(angles).apply(mobile) - target) ** 2).sum(1).mean()

    return float(np.sqrt(loss(minimize(loss, np.zeros(3), options={"maxiter": 3}).x)))


def wrong_kabsch_rmsd__sum_for_mean(mobile, target):
    """The root of the sum: never divides by N.

    message: divide
    message: mean
    message: sum
    """
    mobile, target = centred(mobile, target)
    return float(np.linalg.norm(mobile @ turn(mobile, target).T - target))


def wrong_kabsch_rmsd__no_root(mobile, target):
    """The mean square, in Å².

    message: root
    """
    mobile, target = centred(mobile, target)
    return root(mobile @ turn(mobile, target).T, target) ** 2


def wrong_kabsch_rmsd__three_n(mobile, target):
    """`.mean()` over x, y and z as well: divided by 3N.

    message: 3N
    message: 3 N
    message: three
    message: 3 *
    message: all numbers
    """
    mobile, target = centred(mobile, target)
    return float(np.sqrt(((mobile @ turn(mobile, target).T - target) ** 2).mean()))


def wrong_kabsch_rmsd__n_minus_one(mobile, target):
    """Divides by N - 1 like a standard deviation.

    message: N - 1
    message: N-1
    message: N − 1
    message: divide
    """
    mobile, target = centred(mobile, target)
    return float(np.sqrt(((mobile @ turn(mobile, target).T - target) ** 2).sum() / (len(mobile) - 1 or 1)))


def wrong_kabsch_rmsd__mean_distance(mobile, target):
    """The mean of the distances instead of the root of the mean square.

    message: mean distance
    message: mean of the distances
    message: square
    """
    mobile, target = centred(mobile, target)
    return float(np.linalg.norm(mobile @ turn(mobile, target).T - target, axis=1).mean())


def wrong_kabsch_rmsd__largest_distance(mobile, target):
    """The distance of the worst residue.

    message: largest
    message: maximum
    message: mean
    """
    mobile, target = centred(mobile, target)
    return float(np.linalg.norm(mobile @ turn(mobile, target).T - target, axis=1).max())


def wrong_kabsch_rmsd__distance_rmsd(mobile, target):
    """dRMSD: compares distances within the structures, which a mirror image keeps.

    message: mirror
    message: reflection
    message: superpos
    message: differ
    """
    a, b = (np.linalg.norm(xyz[:, None] - xyz[None], axis=-1) for xyz in pair(mobile, target))
    return float(np.sqrt(((a - b) ** 2).mean()))


def wrong_kabsch_rmsd__nanometres(mobile, target):
    """In nm, as some programs for molecular dynamics.

    message: Å
    message: nm
    message: ten
    message: too small
    """
    return right_kabsch_rmsd__svd(mobile, target) / 10


def wrong_kabsch_rmsd__per_residue(mobile, target):
    """One distance per residue.

    message: one number
    message: a number
    message: float
    message: shape
    """
    mobile, target = centred(mobile, target)
    return np.linalg.norm(mobile @ turn(mobile, target).T - target, axis=1)


def wrong_kabsch_rmsd__rotation_as_well(mobile, target):
    """Returns the rotation, too.

    message: one number
    message: a number
    message: float
    message: shape
    """
    mobile, target = centred(mobile, target)
    rotation = turn(mobile, target)
    return rotation, root(mobile @ rotation.T, target)


def wrong_kabsch_rmsd__centres_in_place(mobile, target):
    """`-=` moves the caller's structures.

    message: changes its input
    """
    pair(mobile, target)
    mobile -= mobile.mean(0)
    target -= target.mean(0)
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__cuts_to_the_shorter(mobile, target):
    """Structures of different length: cuts the longer one off.

    message: length
    message: different
    message: ValueError
    """
    count = min(len(mobile), len(target))
    mobile, target = centred(mobile[:count], target[:count])
    return root(mobile @ turn(mobile, target).T, target)


def wrong_kabsch_rmsd__nothing(mobile, target):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    mobile, target = centred(mobile, target)
    rmsd = root(mobile @ turn(mobile, target).T, target)  # noqa: F841


def right_kabsch_rmsd__svd(mobile, target):
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(mobile.T @ target)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        u[:, -1] = -u[:, -1]
    return np.sqrt(np.mean(np.sum((mobile @ u @ vt - target) ** 2, axis=1)))


def right_kabsch_rmsd__singular_values(mobile, target):
    mobile, target = centred(mobile, target)
    u, s, vt = np.linalg.svd(mobile.T @ target)
    s[2] *= np.sign(np.linalg.det(u) * np.linalg.det(vt))
    msd = ((mobile ** 2).sum() + (target ** 2).sum() - 2 * s.sum()) / len(mobile)
    return float(np.sqrt(max(msd, 0)))


def right_kabsch_rmsd__torch(mobile, target):
    mobile, target = map(torch.from_numpy, pair(mobile, target))
    mobile, target = mobile - mobile.mean(0), target - target.mean(0)
    u, _, vh = torch.linalg.svd(mobile.T @ target)
    flip = torch.ones(3, dtype=u.dtype)
    flip[2] = torch.linalg.det(u @ vh).sign()
    return (mobile @ (u * flip) @ vh - target).square().sum(1).mean().sqrt().item()


def right_kabsch_rmsd__align_vectors(mobile, target):
    mobile, target = centred(mobile, target)
    rotation, _ = Rotation.align_vectors(target, mobile) if len(mobile) > 1 else (Rotation.identity(), 0)
    return root(rotation.apply(mobile), target)


def right_kabsch_rmsd__quaternion(mobile, target):
    """Horn 1987: the largest eigenvalue of a 4 x 4 matrix."""
    mobile, target = centred(mobile, target)
    s = mobile.T @ target
    antisymmetric = np.array([s[1, 2] - s[2, 1], s[2, 0] - s[0, 2], s[0, 1] - s[1, 0]])
    key = np.zeros((4, 4))
    key[0, 0], key[0, 1:], key[1:, 0] = np.trace(s), antisymmetric, antisymmetric
    key[1:, 1:] = s + s.T - np.trace(s) * np.eye(3)
    w, *v = np.linalg.eigh(key)[1][:, -1]
    return root(Rotation.from_quat([*v, w]).apply(mobile), target)


def right_kabsch_rmsd__biotite(mobile, target):
    from biotite.structure import rmsd, superimpose

    mobile, target = pair(mobile, target)
    moved, _ = superimpose(target, mobile)
    return float(rmsd(target, moved))


def right_kabsch_rmsd__three_hands(mobile, target):
    """Of all sign patterns of the axes, the best that is a proper rotation."""
    mobile, target = centred(mobile, target)
    u, _, vt = np.linalg.svd(mobile.T @ target)
    signs = [np.diag([a, b, c]) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    turns = [u @ sign @ vt for sign in signs]
    return min(root(mobile @ rotation, target) for rotation in turns if np.linalg.det(rotation) > 0)


def right_kabsch_rmsd__loops(mobile, target):
    mobile, target = pair(mobile, target)
    count = len(mobile)
    from_centre, to_centre = sum(mobile) / count, sum(target) / count
    covariance = np.zeros((3, 3))
    for a, b in zip(mobile, target):
        covariance += np.outer(a - from_centre, b - to_centre)
    u, _, vt = np.linalg.svd(covariance)
    rotation = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
    total = 0.0
    for a, b in zip(mobile, target):
        off = rotation @ (a - from_centre) - (b - to_centre)
        total += off @ off
    return (total / count) ** 0.5
