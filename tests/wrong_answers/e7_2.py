"""Exercise 7.2, lddt_ca."""
import warnings

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from plmcourse.structures import kabsch

STEPS = (0.5, 1.0, 2.0, 4.0)


def matrices(model, native):
    """Distances in both, and where a residue meets itself; a ValueError for other shapes."""
    model, native = np.array(model, float), np.array(native, float)
    if model.ndim != 2 or model.shape[1] != 3 or model.shape != native.shape:
        raise ValueError(f"expected two arrays [L, 3], not {list(model.shape)} and {list(native.shape)}")
    return cdist(model, model), cdist(native, native), np.eye(len(model), dtype=bool)


def share(kept, partner):
    """Mean of `kept` over the partners of each residue, nan without any."""
    count = partner.sum(-1)
    return np.where(count, (kept * partner).sum(-1) / np.maximum(count, 1), np.nan)


def fraction(change, steps=STEPS):
    return np.mean([change <= step for step in steps], axis=0)


def wrong_lddt_ca__counts_itself(model, native, radius=15.0):
    """The distance of 0 to itself is always kept, and counts.

    message: itself
    message: diagonal
    """
    m, n, _ = matrices(model, native)
    return share(fraction(abs(m - n)), n < radius)


def wrong_lddt_ca__itself_in_the_count(model, native, radius=15.0):
    """Leaves the diagonal out of the sum, but not out of the number of partners.

    message: itself
    message: diagonal
    message: divide
    message: partners
    """
    m, n, own = matrices(model, native)
    return (fraction(abs(m - n)) * ((n < radius) & ~own)).sum(1) / (n < radius).sum(1)


def wrong_lddt_ca__itself_kept_but_not_counted(model, native, radius=15.0):
    """The diagonal is in the sum, but not in the number of partners: more than 1.

    message: itself
    message: diagonal
    message: above 1
    message: more than 1
    """
    m, n, own = matrices(model, native)
    count = ((n < radius) & ~own).sum(1)
    return np.where(count, (fraction(abs(m - n)) * (n < radius)).sum(1) / np.maximum(count, 1), np.nan)


def wrong_lddt_ca__chain_neighbours_left_out(model, native, radius=15.0):
    """Leaves out i ± 1, whose distance of 3.8 Å any chain has.

    message: neighbour
    message: next to
    message: chain
    """
    m, n, _ = matrices(model, native)
    place = np.arange(len(m))
    return share(fraction(abs(m - n)), (n < radius) & (abs(place[:, None] - place) > 1))


def wrong_lddt_ca__three_neighbours_left_out(model, native, radius=15.0):
    """Leaves out the three on either side, as a contact map would.

    message: neighbour
    message: next to
    message: chain
    """
    m, n, _ = matrices(model, native)
    place = np.arange(len(m))
    return share(fraction(abs(m - n)), (n < radius) & (abs(place[:, None] - place) > 3))


def wrong_lddt_ca__near_in_the_model(model, native, radius=15.0):
    """The partners are those that are near in the model.

    message: native
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), (m < radius) & ~own)


def wrong_lddt_ca__near_in_either(model, native, radius=15.0):
    """Near in the model or in the native structure: the symmetric lDDT.

    message: native
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), ((m < radius) | (n < radius)) & ~own)


def wrong_lddt_ca__near_in_both(model, native, radius=15.0):
    """Only pairs that are near in both: what the model has lost does not count.

    message: native
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), (m < radius) & (n < radius) & ~own)


def wrong_lddt_ca__each_pair_once(model, native, radius=15.0):
    """Only j > i: the last residue has no partner.

    message: both
    message: each pair
    message: before
    message: partner
    message: nan
    """
    m, n, _ = matrices(model, native)
    return share(fraction(abs(m - n)), np.triu(n < radius, 1))


def wrong_lddt_ca__strict(model, native, radius=15.0):
    """A change of exactly 0.5 Å does not count as kept.

    message: exactly
    message: at most
    message: equal
    message: <=
    message: ≤
    """
    m, n, own = matrices(model, native)
    return share(np.mean([abs(m - n) < step for step in STEPS], axis=0), (n < radius) & ~own)


def wrong_lddt_ca__all_others_in_the_count(model, native, radius=15.0):
    """Divides by L - 1 whatever the number of partners.

    message: divide
    message: partners
    message: L - 1
    """
    m, n, own = matrices(model, native)
    kept = (fraction(abs(m - n)) * ((n < radius) & ~own)).sum(1) / max(len(m) - 1, 1)
    return np.where(((n < radius) & ~own).any(1), kept, np.nan)


def wrong_lddt_ca__mean_number_of_partners(model, native, radius=15.0):
    """Divides by the mean number of partners: right where all have equally many.

    message: divide
    message: partners
    """
    m, n, own = matrices(model, native)
    partner = (n < radius) & ~own
    return np.where(partner.any(1), (fraction(abs(m - n)) * partner).sum(1) / max(partner.sum(1).mean(), 1e-9), np.nan)


def wrong_lddt_ca__zero_without_partner(model, native, radius=15.0):
    """0 for a residue without partners, as if it were badly placed.

    message: nan
    """
    return np.nan_to_num(share_of(model, native, radius))


def share_of(model, native, radius):
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), (n < radius) & ~own)


def wrong_lddt_ca__one_without_partner(model, native, radius=15.0):
    """1 for a residue without partners, as nothing was lost.

    message: nan
    """
    return np.nan_to_num(share_of(model, native, radius), nan=1.0)


def wrong_lddt_ca__leaves_lonely_residues_out(model, native, radius=15.0):
    """Drops residues without partners: the result is shorter than the chain.

    message: shape
    message: nan
    message: one value
    message: per residue
    """
    found = share_of(model, native, radius)
    return found[~np.isnan(found)]


def wrong_lddt_ca__superposes(model, native, radius=15.0):
    """Superposes and looks at how far each residue lies from its own place, as GDT does.

    message: superpos
    message: distances within
    message: differ
    """
    _, n, own = matrices(model, native)
    rotation, translation = kabsch(model, native)
    off = np.linalg.norm(np.asarray(model) @ rotation.T + translation - native, axis=1)
    return np.where(((n < radius) & ~own).any(1), fraction(off), np.nan)


def wrong_lddt_ca__neighbours_to_the_native_place(model, native, radius=15.0):
    """Superposes, then measures from the native residue to the model's others.

    message: superpos
    message: within
    message: differ
    """
    _, n, own = matrices(model, native)
    rotation, translation = kabsch(model, native)
    moved = np.asarray(model) @ rotation.T + translation
    return share(fraction(abs(cdist(native, moved) - n)), (n < radius) & ~own)


def wrong_lddt_ca__global(model, native, radius=15.0):
    """One number for the structure.

    message: shape
    message: per residue
    message: each residue
    """
    m, n, own = matrices(model, native)
    return float(fraction(abs(m - n))[(n < radius) & ~own].mean())


def wrong_lddt_ca__global_for_each(model, native, radius=15.0):
    """One number for the structure, repeated for each residue.

    message: residue
    """
    m, n, own = matrices(model, native)
    partner = (n < radius) & ~own
    whole = fraction(abs(m - n))[partner].mean() if partner.any() else np.nan
    return np.where(partner.any(1), whole, np.nan)


def wrong_lddt_ca__no_radius(model, native, radius=15.0):
    """All other residues are partners.

    message: radius
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), ~own)


def wrong_lddt_ca__always_15(model, native, radius=15.0):
    """`radius` does nothing.

    message: radius
    """
    return share_of(model, native, 15.0)


def wrong_lddt_ca__squared_radius_forgotten(model, native, radius=15.0):
    """Compares squared distances with the radius: partners within √15 Å only.

    message: radius
    message: square
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n)), (n ** 2 < radius) & ~own)


def wrong_lddt_ca__default_of_8(model, native, radius=8.0):
    """The right function with a contact's 8 Å as the default.

    message: radius
    message: 15
    """
    return share_of(model, native, radius)


def wrong_lddt_ca__thresholds_summed(model, native, radius=15.0):
    """Adds the four thresholds up: 0 to 4.

    message: mean
    message: sum
    message: four
    message: between 0 and 1
    """
    return 4 * share_of(model, native, radius)


def wrong_lddt_ca__percent(model, native, radius=15.0):
    """0 to 100, as pLDDT.

    message: 100
    message: between 0 and 1
    message: percent
    """
    return 100 * share_of(model, native, radius)


def wrong_lddt_ca__thresholds_of_gdt(model, native, radius=15.0):
    """1, 2, 4 and 8 Å, as in GDT_TS.

    message: threshold
    message: 0.5
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n), (1, 2, 4, 8)), (n < radius) & ~own)


def wrong_lddt_ca__last_threshold_only(model, native, radius=15.0):
    """The loop overwrites its result: only 4 Å is left.

    message: threshold
    message: four
    """
    m, n, own = matrices(model, native)
    for step in STEPS:
        kept = abs(m - n) <= step
    return share(kept, (n < radius) & ~own)


def wrong_lddt_ca__half_angstrom_only(model, native, radius=15.0):
    """Returns inside the loop: only 0.5 Å.

    message: threshold
    message: four
    """
    m, n, own = matrices(model, native)
    for step in STEPS:
        return share(abs(m - n) <= step, (n < radius) & ~own)


def wrong_lddt_ca__three_thresholds(model, native, radius=15.0):
    """Forgets 0.5 Å.

    message: threshold
    message: four
    message: 0.5
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n), STEPS[1:]), (n < radius) & ~own)


def wrong_lddt_ca__no_absolute_value(model, native, radius=15.0):
    """A distance that has become shorter always counts as kept.

    message: shorter
    message: absolute
    message: sign
    message: abs
    """
    m, n, own = matrices(model, native)
    return share(fraction(m - n), (n < radius) & ~own)


def wrong_lddt_ca__squared_distances(model, native, radius=15.0):
    """Compares squared distances with the thresholds.

    message: square
    message: root
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m ** 2 - n ** 2)), (n < radius) & ~own)


def wrong_lddt_ca__relative_change(model, native, radius=15.0):
    """The change as a share of the native distance.

    message: relative
    message: differ
    message: divide
    """
    m, n, own = matrices(model, native)
    return share(fraction(abs(m - n) / np.maximum(n, 1e-9)), (n < radius) & ~own)


def wrong_lddt_ca__difference_vectors(model, native, radius=15.0):
    """The length of the difference of the vectors: a turned model loses everything.

    message: rotat
    message: turn
    message: distances
    """
    _, n, own = matrices(model, native)
    model, native = np.asarray(model, float), np.asarray(native, float)
    change = np.linalg.norm(model[:, None] - model - native[:, None] + native, axis=-1)
    return share(fraction(change), (n < radius) & ~own)


def wrong_lddt_ca__between_the_structures(model, native, radius=15.0):
    """cdist(model, native): from each residue of the one to each of the other.

    message: within
    message: differ
    message: between
    message: rotat
    """
    _, n, own = matrices(model, native)
    return share(fraction(abs(cdist(model, native) - n)), (n < radius) & ~own)


def wrong_lddt_ca__half_precision(model, native, radius=15.0):
    """Computes in half precision: 0.01 Å off, and the next threshold is missed.

    message: precision
    message: float
    message: differ
    """
    m, n, own = matrices(np.float16(model), np.float16(native))
    return share(fraction(np.float16(abs(m - n))), (n < radius) & ~own)


def wrong_lddt_ca__rounded(model, native, radius=15.0):
    """Rounds to two places.

    message: round
    message: differ
    message: should be
    """
    return share_of(model, native, radius).round(2)


def wrong_lddt_ca__moves_the_model(model, native, radius=15.0):
    """Shifts the caller's model to the native centre, which is not needed.

    message: changes its input
    """
    matrices(model, native)
    model += np.mean(native, 0) - np.mean(model, 0)
    return share_of(model, native, radius)


def wrong_lddt_ca__cuts_to_the_shorter(model, native, radius=15.0):
    """Structures of different length: cuts the longer one off.

    message: length
    message: different
    message: ValueError
    """
    count = min(len(model), len(native))
    return share_of(model[:count], native[:count], radius)


def wrong_lddt_ca__nothing(model, native, radius=15.0):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    m, n, own = matrices(model, native)
    result = share(fraction(abs(m - n)), (n < radius) & ~own)  # noqa: F841


def right_lddt_ca__vectorised(model, native, radius=15.0):
    m, n, own = matrices(model, native)
    partner = (n < radius) & ~own
    kept = (abs(m - n)[..., None] <= np.array(STEPS)).mean(-1)
    with np.errstate(invalid="ignore"):
        return (kept * partner).sum(1) / partner.sum(1)


def right_lddt_ca__loops(model, native, radius=15.0):
    matrices(model, native)
    scores = []
    for i in range(len(native)):
        kept = count = 0
        for j in range(len(native)):
            apart = np.linalg.norm(np.subtract(native[i], native[j], dtype=float))
            if i == j or apart >= radius:
                continue
            count += 1
            change = abs(np.linalg.norm(np.subtract(model[i], model[j], dtype=float)) - apart)
            kept += sum(change <= step for step in STEPS) / 4
        scores.append(kept / count if count else float("nan"))
    return np.array(scores)


def right_lddt_ca__torch(model, native, radius=15.0):
    matrices(model, native)
    m, n = (torch.as_tensor(np.asarray(xyz, float)) for xyz in (model, native))
    m, n = (torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist") for x in (m, n))
    partner = (n < radius) & ~torch.eye(len(n), dtype=torch.bool)
    kept = sum(((m - n).abs() <= step).double() for step in STEPS) / 4
    return ((kept * partner).sum(1) / partner.sum(1)).numpy()


def right_lddt_ca__nanmean(model, native, radius=15.0):
    m, n, own = matrices(model, native)
    kept = np.where((n < radius) & ~own, fraction(abs(m - n)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row of nan only: nan is what we want
        return np.nanmean(kept, axis=1)


def right_lddt_ca__biotite(model, native, radius=15.0):
    from biotite.structure import AtomArray, lddt

    matrices(model, native)
    reference = AtomArray(len(native))
    reference.coord, reference.res_id = np.asarray(native, np.float32), np.arange(len(native))
    with np.errstate(invalid="ignore"):
        return lddt(reference, np.asarray(model, np.float32), aggregation="residue", inclusion_radius=radius)


def right_lddt_ca__tree(model, native, radius=15.0):
    """Partners from a search tree; the thresholds counted one after the other."""
    matrices(model, native)
    model, native = np.asarray(model, float), np.asarray(native, float)
    scores = np.full(len(native), np.nan)
    for i, near in enumerate(cKDTree(native).query_ball_point(native, radius)):
        apart = np.linalg.norm(native[near] - native[i], axis=1)
        near, apart = np.array(near)[apart < radius], apart[apart < radius]
        near, apart = near[near != i], apart[near != i]
        if len(near):
            change = abs(np.linalg.norm(model[near] - model[i], axis=1) - apart)
            scores[i] = np.mean([np.mean(change <= step) for step in STEPS])
    return scores


def right_lddt_ca__without_the_diagonal(model, native, radius=15.0):
    """Cuts the diagonal out of the matrices, and counts thresholds with searchsorted."""
    m, n, own = matrices(model, native)
    m, n = (d[~own].reshape(len(d), -1) for d in (m, n))
    kept = (4 - np.searchsorted(STEPS, abs(m - n))) / 4
    near = n < radius
    return np.array([row[use].mean() if use.any() else np.nan for row, use in zip(kept, near)])
