"""Exercise 7.4, coordinates_from_distances."""
import numpy as np
import scipy.linalg
import torch
from sklearn.preprocessing import KernelCenterer

from plmcourse.structures import handedness, pseudo_dihedrals


def proper(distances):
    """The distances as an array of their own, or a ValueError."""
    d = np.array(distances, float)
    if d.ndim != 2 or d.shape[0] != d.shape[1] or len(d) == 0:
        raise ValueError(f"expected a square matrix, not {list(d.shape)}")
    if not np.isfinite(d).all() or (d < 0).any():
        raise ValueError("a distance is negative or not a finite number")
    if not np.allclose(d, d.T, atol=1e-3) or not np.allclose(np.diag(d), 0, atol=1e-3):
        raise ValueError("distances are symmetric, and 0 on the diagonal")
    return d


def gram(d):
    """Inner products of the centred coordinates."""
    centring = np.eye(len(d)) - 1 / len(d)
    return -0.5 * centring @ d ** 2 @ centring


def largest(inner):
    """The three largest eigenvalues, at least 0, and their eigenvectors; zeros where there are fewer than three."""
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    missing = max(0, 3 - len(values))
    values, vectors = np.pad(values[::-1][:3], (0, missing)), np.pad(vectors[:, ::-1][:, :3], ((0, 0), (0, missing)))
    return np.maximum(values, 0), vectors


def spread(inner):
    values, vectors = largest(inner)
    return vectors * np.sqrt(values)


def natural(xyz):
    """That one of the two mirror images."""
    return -xyz if handedness(xyz) < 0 else xyz


def solved(distances):
    return natural(spread(gram(proper(distances))))


def wrong_coordinates_from_distances__no_squares(distances):
    """Centres the distances, not their squares.

    message: square
    """
    d = proper(distances)
    return natural(spread(gram(np.sqrt(d))))


def wrong_coordinates_from_distances__no_centring(distances):
    """Takes the eigenvectors of -½ d² as they are.

    message: centr
    message: center
    message: mean
    """
    return natural(spread(-0.5 * proper(distances) ** 2))


def wrong_coordinates_from_distances__centres_rows_only(distances):
    """Subtracts the means of the rows and not those of the columns.

    message: centr
    message: center
    message: column
    message: mean
    """
    squared = proper(distances) ** 2
    return natural(spread(-0.5 * (squared - squared.mean(1, keepdims=True))))


def wrong_coordinates_from_distances__grand_mean_forgotten(distances):
    """Subtracts both means and does not add the mean of all.

    message: centr
    message: center
    message: mean
    """
    squared = proper(distances) ** 2
    return natural(spread(-0.5 * (squared - squared.mean(0) - squared.mean(1)[:, None])))


def wrong_coordinates_from_distances__grand_mean_only(distances):
    """Subtracts the mean of all.

    message: centr
    message: center
    message: mean
    """
    squared = proper(distances) ** 2
    return natural(spread(-0.5 * (squared - squared.mean())))


def wrong_coordinates_from_distances__half_forgotten(distances):
    """-1 in place of -½: √2 times too large.

    message: half
    message: 1/2
    message: 0.5
    message: ½
    message: 1.41
    message: too large
    message: scale
    """
    return natural(spread(2 * gram(proper(distances))))


def wrong_coordinates_from_distances__sign_forgotten(distances):
    """+½: the eigenvalues are negative.

    message: sign
    message: negative
    message: minus
    message: -0.5
    """
    return natural(spread(-gram(proper(distances))))


def wrong_coordinates_from_distances__absolute_of_the_wrong_sign(distances):
    """+½, and the values of the three largest are saved by abs: three useless axes.

    message: sign
    message: negative
    message: minus
    message: differ
    message: largest
    message: distances
    """
    values, vectors = np.linalg.eigh(-gram(proper(distances)))
    return natural(vectors[:, -3:] * np.sqrt(abs(values[-3:])))


def wrong_coordinates_from_distances__no_root(distances):
    """Multiplies by the eigenvalues themselves.

    message: root
    message: sqrt
    """
    values, vectors = largest(gram(proper(distances)))
    return natural(vectors * values)


def wrong_coordinates_from_distances__eigenvectors_only(distances):
    """Does not multiply at all: a ball with axes of length 1.

    message: eigenvalue
    message: length
    message: scale
    """
    return natural(largest(gram(proper(distances)))[1])


def wrong_coordinates_from_distances__smallest_eigenvectors(distances):
    """eigh sorts upwards: the first three are the smallest.

    message: largest
    message: smallest
    message: ascending
    message: order
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    return natural(vectors[:, :3] * np.sqrt(np.maximum(values[:3], 0)))


def wrong_coordinates_from_distances__values_and_vectors_part(distances):
    """Turns the eigenvalues round, not the eigenvectors: each axis gets another's length.

    message: eigenvalue
    message: largest
    message: order
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    return natural(vectors[:, -3:] * np.sqrt(np.maximum(values[::-1][:3], 0)))


def wrong_coordinates_from_distances__rows_of_eigenvectors(distances):
    """Eigenvectors are columns; this takes rows.

    message: column
    message: transpose
    message: eigenvector
    message: distances
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    return natural(vectors[-3:].T * np.sqrt(np.maximum(values[-3:], 0)))


def wrong_coordinates_from_distances__rows_of_the_matrix(distances):
    """Takes PCA of the distance matrix, each row a point.

    message: square
    message: distances
    message: eigen
    """
    d = proper(distances)
    u, s, _ = np.linalg.svd(d - d.mean(0))
    return natural((u * s)[:, :3])


def wrong_coordinates_from_distances__two_axes(distances):
    """Two eigenvectors, and zeros for z.

    message: three
    message: third
    message: plane
    message: flat
    """
    xyz = spread(gram(proper(distances)))
    xyz[:, 2] = 0
    return xyz


def wrong_coordinates_from_distances__two_columns(distances):
    """Returns [L, 2], as for a picture.

    message: shape
    message: three
    message: [L, 3]
    """
    return solved(distances)[:, :2]


def wrong_coordinates_from_distances__transposed(distances):
    """Returns [3, L].

    message: shape
    """
    return solved(distances).T


def wrong_coordinates_from_distances__short_chain(distances):
    """Two residues have two eigenvectors: [2, 2] instead of [2, 3].

    message: shape
    message: residues
    message: [2, 2]
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    xyz = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0))
    return natural(xyz) if len(xyz) > 3 else xyz


def wrong_coordinates_from_distances__roots_of_negative_values(distances):
    """Distances that fit into no space give negative eigenvalues, and their roots are nan.

    message: nan
    message: finite
    message: negative
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    if len(values) < 3:
        return solved(distances)
    with np.errstate(invalid="ignore"):
        xyz = vectors[:, -3:] * np.sqrt(values[-3:])
    return xyz if np.isnan(xyz).any() else natural(xyz)


def wrong_coordinates_from_distances__whatever_hand(distances):
    """Does not look at the hand: half of all proteins are mirror images.

    message: mirror
    message: hand
    """
    return spread(gram(proper(distances)))


def wrong_coordinates_from_distances__mirror_image(distances):
    """Looks at the hand and takes the other one.

    message: mirror
    message: hand
    """
    return -solved(distances)


def wrong_coordinates_from_distances__always_mirrored(distances):
    """Flips z in any case.

    message: mirror
    message: hand
    """
    return spread(gram(proper(distances))) * [1, 1, -1]


def wrong_coordinates_from_distances__half_a_turn(distances):
    """Changes the sign of two axes against a mirror image: that is a rotation.

    message: mirror
    message: hand
    """
    xyz = spread(gram(proper(distances)))
    return xyz * [1, -1, -1] if handedness(xyz) < 0 else xyz


def wrong_coordinates_from_distances__axes_exchanged_twice(distances):
    """Permutes all three axes against a mirror image: a rotation, too.

    message: mirror
    message: hand
    """
    xyz = spread(gram(proper(distances)))
    return xyz[:, [1, 2, 0]] if handedness(xyz) < 0 else xyz


def wrong_coordinates_from_distances__chain_turned_round(distances):
    """Reads the chain from the end against a mirror image: the hand stays, the order is lost.

    message: mirror
    message: hand
    message: order
    message: distances
    """
    xyz = spread(gram(proper(distances)))
    return xyz[::-1] if handedness(xyz) < 0 else xyz


def wrong_coordinates_from_distances__determinant(distances):
    """Takes the sign of the eigenvectors' determinant for the hand, which says nothing about the protein.

    message: mirror
    message: hand
    """
    xyz = spread(gram(proper(distances)))
    return xyz * [1, 1, np.sign(np.linalg.det(xyz[:3])) or 1] if len(xyz) > 2 else xyz


def wrong_coordinates_from_distances__first_four(distances):
    """One pseudo-dihedral decides, the first: a chain that begins with a strand comes out mirrored.

    message: mirror
    message: hand
    """
    xyz = spread(gram(proper(distances)))
    return -xyz if len(xyz) > 3 and pseudo_dihedrals(xyz)[0] < 0 else xyz


def wrong_coordinates_from_distances__mean_angle(distances):
    """The mean of the pseudo-dihedrals should be positive: about -170° in strands.

    message: mirror
    message: hand
    message: strand
    """
    xyz = spread(gram(proper(distances)))
    return -xyz if len(xyz) > 3 and pseudo_dihedrals(xyz).mean() < 0 else xyz


def wrong_coordinates_from_distances__asymmetric_accepted(distances):
    """Averages with the transpose and says nothing.

    message: symmetric
    """
    d = np.array(distances, float)
    return solved((d + d.T) / 2 if d.ndim == 2 and d.shape[0] == d.shape[1] else d)


def wrong_coordinates_from_distances__upper_half(distances):
    """eigh reads one triangle only, and so does this: the other may hold anything.

    message: symmetric
    """
    d = np.array(distances, float)
    square = d.ndim == 2 and d.shape[0] == d.shape[1]
    return solved(np.triu(d, 1) + np.triu(d, 1).T + np.diag(np.diag(d)) if square else d)


def wrong_coordinates_from_distances__diagonal_accepted(distances):
    """Sets the diagonal to zero and says nothing.

    message: diagonal
    """
    d = np.array(distances, float)
    return solved(d - np.diag(np.diag(d)) if d.ndim == 2 and d.shape[0] == d.shape[1] else d)


def wrong_coordinates_from_distances__trace(distances):
    """Looks at the sum of the diagonal: 1 and -1 pass.

    message: diagonal
    message: negative
    """
    d = np.array(distances, float)
    off = d - np.diag(np.diag(d)) if d.ndim == 2 and d.shape[0] == d.shape[1] else d
    return solved(off if off.shape == d.shape and abs(d.trace()) < 1e-3 else d)


def wrong_coordinates_from_distances__cut_to_a_square(distances):
    """Cuts a matrix that is not square.

    message: square
    """
    d = np.array(distances, float)
    return solved(d[:min(d.shape), :min(d.shape)] if d.ndim == 2 else d)


def wrong_coordinates_from_distances__asserts(distances):
    """`assert` raises AssertionError.

    message: ValueError
    message: AssertionError
    """
    d = np.array(distances, float)
    assert d.ndim == 2 and d.shape[0] == d.shape[1], "not square"
    assert np.allclose(d, d.T, atol=1e-3), "not symmetric"
    assert np.allclose(np.diag(d), 0, atol=1e-3), "not 0 on the diagonal"
    return solved(d)


def wrong_coordinates_from_distances__returns_the_error(distances):
    """Returns the ValueError.

    message: ValueError
    message: raise
    """
    try:
        return solved(distances)
    except ValueError as error:
        return error


def wrong_coordinates_from_distances__negative_accepted(distances):
    """The squares hide a negative distance.

    message: negative
    message: below 0
    """
    return solved(abs(np.array(distances, float)))


def wrong_coordinates_from_distances__squares_in_place(distances):
    """`**=` squares the caller's distances.

    message: changes its input
    """
    found = solved(distances)
    distances **= 2
    return found


def wrong_coordinates_from_distances__diagonal_in_place(distances):
    """Hides the diagonal of the caller's matrix, as one does to find nearest neighbours.

    message: changes its input
    """
    found = solved(distances)
    np.fill_diagonal(distances, np.inf)
    return found


def wrong_coordinates_from_distances__first_residue_as_origin(distances):
    """Inner products seen from the first residue: the same for exact distances, but its errors go into all others.

    message: centr
    message: center
    message: classical
    message: first residue
    message: mean
    message: noise
    message: exact
    message: inexact
    message: predicted
    """
    squared = proper(distances) ** 2
    return natural(spread((squared[:1] + squared[:, :1] - squared) / 2))


def wrong_coordinates_from_distances__largest_absolute_values(distances):
    """The largest eigenvalues by size: distances that fit into no space may have large negative ones.

    message: negative
    message: largest
    message: absolute
    message: distances
    """
    values, vectors = np.linalg.eigh(gram(proper(distances)))
    chosen = np.argsort(-abs(values))[:3]
    xyz = np.zeros((len(values), 3))
    xyz[:, :len(chosen)] = vectors[:, chosen] * np.sqrt(abs(values[chosen]))
    return natural(xyz)


def wrong_coordinates_from_distances__bonds_made_equal(distances):
    """Scales the result to 3.8 Å between neighbours, which the distances do not always say.

    message: scale
    message: 3.8
    message: distances
    """
    xyz = solved(distances)
    bonds = np.linalg.norm(np.diff(xyz, axis=0), axis=1)
    return xyz * 3.8 / bonds.mean() if len(bonds) and bonds.mean() > 0 else xyz


def wrong_coordinates_from_distances__nothing(distances):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    xyz = solved(distances)  # noqa: F841


def simple_hand(xyz):
    """Helices turn to the right: more pseudo-dihedrals between 0 and 120° than between -120° and 0."""
    if len(xyz) < 4:
        return xyz
    angles = np.degrees(pseudo_dihedrals(xyz))
    right, left = ((angles > 0) & (angles < 120)).sum(), ((angles < 0) & (angles > -120)).sum()
    return xyz * [1, 1, -1] if right < left else xyz


def right_coordinates_from_distances__centring_matrix(distances):
    d = proper(distances)
    centring = np.eye(len(d)) - np.ones_like(d) / len(d)
    values, vectors = np.linalg.eigh(-centring @ (d * d) @ centring / 2)
    order = np.argsort(values)[::-1][:3]
    xyz = np.zeros((len(d), 3))
    xyz[:, :len(order)] = vectors[:, order] * np.sqrt(values[order].clip(0))
    return xyz * np.array([-1, 1, 1]) if handedness(xyz) < 0 else xyz


def right_coordinates_from_distances__subset(distances):
    """SciPy gives the last three only."""
    d = proper(distances)
    count = min(3, len(d))
    values, vectors = scipy.linalg.eigh(gram(d), subset_by_index=[len(d) - count, len(d) - 1])
    xyz = np.pad(vectors * np.sqrt(np.maximum(values, 0)), ((0, 0), (0, 3 - count)))
    return -xyz if handedness(xyz) < 0 else xyz


def right_coordinates_from_distances__torch(distances):
    squared = torch.from_numpy(proper(distances)) ** 2
    inner = -(squared - squared.mean(0) - squared.mean(1, keepdim=True) + squared.mean()) / 2
    values, vectors = torch.linalg.eigh(inner)
    xyz = (vectors * values.clamp(min=0).sqrt()).flip(1)[:, :3].numpy()
    xyz = np.concatenate([xyz, np.zeros((len(xyz), 3 - xyz.shape[1]))], axis=1)
    return xyz[:, [1, 0, 2]] if handedness(xyz) < 0 else xyz


def right_coordinates_from_distances__svd(distances):
    """Singular vectors, with the eigenvalues' signs from left and right ones."""
    u, s, vt = np.linalg.svd(gram(proper(distances)))
    values = s * np.sign((u * vt.T).sum(0))
    order = np.argsort(-values)[:3]
    xyz = u[:, order] * np.sqrt(np.maximum(values[order], 0))
    return natural(np.pad(xyz, ((0, 0), (0, 3 - xyz.shape[1]))))


def right_coordinates_from_distances__kernel_centerer(distances):
    """scikit-learn centres."""
    return natural(spread(KernelCenterer().fit_transform(-0.5 * proper(distances) ** 2)))


def right_coordinates_from_distances__elsewhere(distances):
    """Another origin and another orientation are as good."""
    turn = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    xyz = solved(distances) @ turn + [10, -20, 30]
    return xyz - xyz[0]


def right_coordinates_from_distances__loops(distances):
    d = proper(distances)
    length, squared = len(d), d ** 2
    rows, mean, inner = squared.sum(1) / length, squared.sum() / length ** 2, np.zeros_like(d)
    for i in range(length):
        for j in range(length):
            inner[i, j] = -(squared[i, j] - rows[i] - rows[j] + mean) / 2
    return natural(spread(inner))


def right_coordinates_from_distances__more_right_turns(distances):
    """A simple rule for the hand."""
    return simple_hand(spread(gram(proper(distances))))


def right_coordinates_from_distances__sines(distances):
    """Another simple rule for the hand: sin 2θ is above 0 in helices (50°) and in strands (-170°)."""
    xyz = spread(gram(proper(distances)))
    return xyz * [1, -1, 1] if len(xyz) > 3 and np.sin(2 * pseudo_dihedrals(xyz)).sum() < 0 else xyz


def right_coordinates_from_distances__single_precision(distances):
    """Coordinates as float32, as structures have them."""
    return solved(distances).astype(np.float32)


def wrong_coordinates_from_distances__means_without_an_axis(distances):
    """Subtracts the means of the rows as if they were those of the columns: numpy lays both along the rows.

    message: second axis
    """
    d = proper(distances)
    squared = d ** 2
    return natural(spread_lower(-0.5 * (squared - squared.mean(0) - squared.mean(1) + squared.mean())))


def spread_lower(inner):
    """As numpy does it: of a matrix that is not symmetric, eigh reads the lower triangle."""
    values, vectors = np.linalg.eigh(inner)
    return np.pad(vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0)), ((0, 0), (0, max(0, 3 - len(inner)))))
