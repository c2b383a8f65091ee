"""Superposition, lDDT, TM-score, distances and the hand, against biotite and on real chains."""
import biotite.structure as bio
import numpy as np
import pytest

from plmcourse import datasets, structures

CHAINS = datasets.chains("chains_test")


def ca(chain):
    return chain["xyz"][:, 1].astype("float32")  # as precise as biotite keeps coordinates


def atoms(xyz):
    array = bio.AtomArray(len(xyz))
    array.coord = np.asarray(xyz, "float32")
    array.atom_name[:], array.res_name[:], array.element[:], array.chain_id[:] = "CA", "ALA", "C", "A"
    array.res_id = np.arange(1, len(xyz) + 1)
    return array


def rotation(rng):
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return q * np.linalg.det(q)


def pairs(number):
    """Real chains beside models of them: disturbed a little or a lot, turned and moved away."""
    for seed, chain in enumerate(CHAINS[:number]):
        rng = np.random.default_rng(seed)
        native = ca(chain)
        model = native + rng.normal(0, rng.uniform(0.1, 6), native.shape)
        yield (model @ rotation(rng).T + rng.normal(0, 10, 3)).astype("float32"), native


def test_rmsd_and_lddt_equal_biotite():
    for model, native in pairs(20):
        fitted, _ = bio.superimpose(atoms(native), atoms(model))
        assert structures.kabsch_rmsd(model, native) == pytest.approx(bio.rmsd(atoms(native), fitted), abs=1e-6)
        theirs = bio.lddt(atoms(native), atoms(model), aggregation="residue")
        np.testing.assert_allclose(structures.lddt_ca(model, native), theirs, atol=1e-6)


def test_lddt_equals_biotite_between_unrelated_chains():
    for first, second in zip(CHAINS[:20], CHAINS[1:]):
        length = min(len(first["sequence"]), len(second["sequence"]))
        model, native = ca(first)[:length], ca(second)[:length]
        np.testing.assert_allclose(structures.lddt_ca(model, native), bio.lddt(atoms(native), atoms(model), aggregation="residue"), atol=1e-6)


def test_tm_score_equals_biotite_where_the_superposition_is_clear():
    for chain in CHAINS[:10]:
        native, rng = ca(chain), np.random.default_rng(0)
        model = native + rng.normal(0, 0.5, native.shape).astype("float32")
        fitted, _ = bio.superimpose(atoms(native), atoms(model))
        index = np.arange(len(native))
        assert structures.tm_score(model, native) == pytest.approx(bio.tm_score(atoms(native), fitted, index, index), abs=2e-3)


def test_tm_score_is_never_below_that_of_the_least_rmsd():
    for model, native in pairs(20):
        fitted, _ = bio.superimpose(atoms(native), atoms(model))
        index = np.arange(len(native))
        assert structures.tm_score(model, native) > bio.tm_score(atoms(native), fitted, index, index) - 1e-6


def test_tm_score_finds_the_half_that_fits():
    native = ca(CHAINS[0])
    half = len(native) // 2
    model = native.copy()
    model[half:] += 40  # as a whole the superposition is bad, for one half it is perfect
    assert structures.tm_score(model, native) > half / len(native) - 0.02


def test_rmsd_never_mirrors():
    native = ca(CHAINS[0])
    assert structures.kabsch_rmsd(native * [1, 1, -1], native) > 5
    assert structures.kabsch_rmsd(native @ rotation(np.random.default_rng(1)).T + 7, native) < 1e-5


def test_weighted_superposition_fits_what_has_weight():
    native = ca(CHAINS[0]).astype(float)
    model = native @ rotation(np.random.default_rng(2)).T
    model[10:] += 30
    weights = (np.arange(len(native)) < 10) * 1.0
    turn, shift = structures.kabsch(model, native, weights)
    np.testing.assert_allclose((model @ turn.T + shift)[:10], native[:10], atol=1e-4)


def test_lddt_does_not_see_the_hand_and_has_nan_without_partners():
    native = ca(CHAINS[0])
    np.testing.assert_allclose(structures.lddt_ca(native * [1, 1, -1], native), 1)
    alone = np.vstack([native, [[500, 0, 0]]])
    assert np.isnan(structures.lddt_ca(alone, alone)[-1])


@pytest.mark.parametrize("function", [structures.kabsch_rmsd, structures.lddt_ca, structures.tm_score], ids=lambda f: f.__name__)
def test_wrong_shapes_are_named(function):
    x = np.zeros((5, 3))
    with pytest.raises(ValueError, match="5 and 4 residues"):
        function(x, x[:4])
    with pytest.raises(ValueError, match=r"first structure has shape \[3, 5\]"):
        function(x.T, x)
    with pytest.raises(ValueError, match=r"second structure has shape \[5, 3, 1\]"):
        function(x, x[..., None])
    with pytest.raises(ValueError, match="residue 3 of the first structure has no finite"):
        function(np.where(np.arange(5)[:, None] == 2, np.nan, x), x)


def test_native_distances_give_the_native_structure():
    """Exact up to reflection on all chains; the pseudo-dihedrals choose the right hand."""
    right = 0
    for chain in CHAINS:
        native = chain["xyz"][:, 1].astype(float)
        found = structures.coordinates_from_distances(structures.distances(native))
        one, other = structures.kabsch_rmsd(found, native), structures.kabsch_rmsd(found * [1, 1, -1], native)
        assert min(one, other) < 0.01, chain["id"]
        right += one < other
    assert len(CHAINS) == 60 and right >= 59


def test_the_hand_is_counted_on_training_chains_alone(monkeypatch):
    asked, load = [], datasets.chains
    monkeypatch.setattr(datasets, "chains", lambda name: asked.append(name) or load(name))
    structures.hand_log_odds.__wrapped__()
    assert asked == ["chains_train"]


def test_handedness_changes_its_sign_in_the_mirror():
    native = ca(CHAINS[0])
    assert structures.handedness(native) > 0
    assert structures.handedness(native * [-1, 1, 1]) == pytest.approx(-structures.handedness(native))
    assert structures.handedness(native[:3]) == 0


def test_pseudo_dihedrals_equal_biotites():
    native = ca(CHAINS[3])
    theirs = bio.dihedral(native[:-3], native[1:-2], native[2:-1], native[3:])
    np.testing.assert_allclose(structures.pseudo_dihedrals(native), theirs, atol=1e-4)


def test_impossible_distances_still_give_coordinates():
    rng = np.random.default_rng(0)
    d = rng.uniform(3, 30, (40, 40))
    found = structures.coordinates_from_distances(np.triu(d, 1) + np.triu(d, 1).T)
    assert found.shape == (40, 3) and np.isfinite(found).all()
    assert structures.coordinates_from_distances([[0, 4], [4, 0]]).shape == (2, 3)


@pytest.mark.parametrize("change, sentence", [
    (lambda d: d[:, :3], r"shape \[4, 3\]; expected a square matrix"),
    (lambda d: d + np.triu(np.ones_like(d), 1), "not symmetric: 2 Å from residue 1 to 2, 1 Å back"),
    (lambda d: d + np.eye(4), "distance of residue 1 to itself is 1 Å, not 0"),
    (lambda d: -d, "between residues 1 and 2 is -1"),
    (lambda d: np.where(d == 3, np.nan, d), "between residues 1 and 4 is nan"),
])
def test_what_is_no_distance_matrix_is_named(change, sentence):
    d = abs(np.subtract.outer(np.arange(4.0), np.arange(4.0)))
    with pytest.raises(ValueError, match=sentence):
        structures.coordinates_from_distances(change(d))


def test_coordinates_are_read_from_whatever_holds_them():
    ubiquitin, path = datasets.load("1ubq"), datasets.path("1ubq")
    xyz = structures.ca_coordinates(ubiquitin)
    assert xyz.shape == (76, 3)
    np.testing.assert_array_equal(structures.ca_coordinates(path.read_text()), xyz)
    np.testing.assert_array_equal(structures.ca_coordinates(xyz), xyz)
    chain = CHAINS[0]["xyz"]
    np.testing.assert_array_equal(structures.ca_coordinates(chain), chain[:, 1])
    with pytest.raises(ValueError, match=r"not \[4\]"):
        structures.ca_coordinates(np.zeros(4))
    with pytest.raises(ValueError, match="none of the 1 atoms is a C-alpha"):
        structures.ca_coordinates(ubiquitin[ubiquitin.atom_name == "N"][:1])


ATOM = "{record:<6}{number:>5} {name:<4} {residue:<3} A{index:>4}    {0:8.3f}{0:8.3f}{0:8.3f}{1:6.2f}{2:6.2f}          {element:>2}\n"


def pdb(values, record="ATOM", name=" CA ", residue="ALA", element="C"):
    return "".join(ATOM.format(k * 3.8, 1.0, value, record=record, number=k, name=name, residue=residue, index=k, element=element)
                   for k, value in enumerate(values, 1))


def test_confidence_is_read_from_both_scales():
    np.testing.assert_allclose(structures.read_confidence(pdb([91.5, 40, 3])), [91.5, 40, 3])
    np.testing.assert_allclose(structures.read_confidence(pdb([0.91, 0.4, 1])), [91, 40, 100])


def test_calcium_is_no_residue():
    text = pdb([90, 80]) + pdb([55.0], record="HETATM", name="CA  ", residue=" CA", element="CA")
    np.testing.assert_allclose(structures.read_confidence(text), [90, 80])


def test_what_is_no_confidence_is_named():
    with pytest.raises(ValueError, match="residue ALA 2 has the B-factor 120"):
        structures.read_confidence(pdb([90, 120]))
    with pytest.raises(ValueError, match="C-alpha"):
        structures.read_confidence(pdb([90], name=" CB "))
    with pytest.raises(ValueError, match="begins 'END' is no PDB file"):
        structures.read_confidence("END")
