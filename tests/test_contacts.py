"""Contacts: maps without special tokens, the correction, the definition of a contact, precision, the fitted head."""
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plmcourse import contacts, datasets, models

SEQUENCE = "MKTAYIAKQRGGWL"


@pytest.fixture(scope="module")
def plm():
    return models.untrained(layers=3, dim=16, heads=2, seed=3, attention="sdpa")


# --- attention between residues ---

def test_maps_are_the_models_own_without_special_tokens(plm):
    eager = models.untrained(layers=3, dim=16, heads=2, seed=3)
    whole = eager.forward(eager.tokenize([SEQUENCE]), output_attentions=True).attentions
    for loaded in (plm, eager):
        maps = contacts.attention_maps(loaded, SEQUENCE)
        assert maps.shape == (3, 2, 14, 14) and maps.dtype == torch.float32
        for layer in range(3):
            assert torch.equal(maps[layer], whole[layer][0, :, 1:-1, 1:-1])


def test_the_model_is_left_as_it_was(plm):
    before = plm.forward(plm.tokenize([SEQUENCE])).logits
    with pytest.raises(ZeroDivisionError):
        contacts.each_layer(plm, SEQUENCE, lambda number, maps: 1 // 0)
    with pytest.raises(ValueError, match="'J'"):
        contacts.attention_maps(plm, "MKJ")
    contacts.attention_maps(plm, SEQUENCE)
    assert plm.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in plm.model.modules())
    assert torch.equal(plm.forward(plm.tokenize([SEQUENCE])).logits, before)


def test_looking_on_does_not_change_the_run(plm):
    """What the callback returns must not take the place of a layer's output."""
    contacts.each_layer(plm, SEQUENCE, lambda number, maps: maps)


def test_one_layer_at_a_time(plm):
    alive, most = [], 0

    def see(number, maps):
        nonlocal most
        alive.append(weakref.ref(maps._base))
        most = max(most, sum(reference() is not None for reference in alive))

    contacts.each_layer(plm, SEQUENCE, see)
    assert len(alive) == 3 and most == 1


# --- average product correction ---

@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "Tensor"])
def test_apc_is_the_formula(kind):
    maps = np.random.default_rng(1).random((2, 3, 5, 5))
    found = contacts.apc(kind(maps))
    assert type(found) is type(kind(maps))
    for layer, head, i, j in np.ndindex(maps.shape):
        one = maps[layer, head]
        assert float(found[layer, head, i, j]) == pytest.approx(one[i, j] - one[i].sum() * one[:, j].sum() / one.sum())


def test_apc_of_background_and_of_nothing_is_zero():
    background = np.outer([1.0, 2, 3], [4.0, 1, 1])
    assert np.allclose(contacts.apc(background), 0)
    assert (contacts.apc(torch.zeros(2, 4, 4)) == 0).all()


# --- contacts ---

def test_virtual_cb_lies_where_the_atom_is():
    atoms = datasets.load("1ubq")
    real = contacts.beta_carbons(atoms)
    residues = {}
    for atom in atoms[~atoms.hetero]:
        residues.setdefault(int(atom.res_id), {})[str(atom.atom_name)] = atom.coord
    built = contacts.beta_carbons([[r["N"], r["CA"], r["C"]] for r in residues.values()])
    away = np.linalg.norm(built - real, axis=1)
    glycine = np.array(["CB" not in r for r in residues.values()])
    assert real.shape == (76, 3) and glycine.sum() == 6 and (away[glycine] < 1e-4).all()
    assert away.mean() < 0.2 and away.max() < 0.5  # a mirror image would be 2 Å off


def test_contacts_of_a_backbone_and_of_all_atoms_agree():
    atoms = datasets.load("1ubq")
    whole = contacts.contact_map(atoms)
    atoms = atoms[np.isin(atoms.atom_name, ["N", "CA", "C"]) & ~atoms.hetero]
    backbone = contacts.contact_map(atoms.coord.reshape(-1, 3, 3))
    assert (whole == whole.T).all() and whole.diagonal().all()
    assert (whole != backbone).mean() < 0.01 and not whole[0, 1:].all()


def test_the_distance_is_in_angstrom():
    step = np.array([[[-1.46, 0, 0], [0, 0, 0], [0, 1.52, 0]]])
    chain = np.concatenate([step, step + [7.99, 0, 0], step + [16, 0, 0]])
    assert contacts.contact_map(chain).tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    assert contacts.contact_map(chain, cutoff=8.1)[1, 2]


def test_bad_structures_get_a_sentence():
    with pytest.raises(ValueError, match=r"shape \[L, 3 or more, 3\], not \[5, 3\]"):
        contacts.contact_map(np.zeros((5, 3)))
    atoms = datasets.load("1ubq")
    with pytest.raises(ValueError, match="residue GLY 10 has neither CB nor all of N, CA and C"):
        contacts.contact_map(atoms[~((atoms.res_id == 10) & (atoms.atom_name == "N"))])


# --- precision ---

def by_hand(scores, truth, low, high, fraction):
    """Precision without NumPy's help; None where no pair is in range."""
    length = len(scores)
    found = [(-scores[i][j], i, j) for i in range(length) for j in range(i + 1, length)
             if j - i >= low and (high is None or j - i <= high)]
    wanted = sorted(found)[: max(1, int(fraction * length // 1))]
    return sum(bool(truth[i][j]) for _, i, j in wanted) / len(wanted) if wanted else None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_precision_equals_an_independent_count(data):
    length = data.draw(st.integers(1, 14))
    scores = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=length**2, max_size=length**2)), float)
    truth = np.array(data.draw(st.lists(st.booleans(), min_size=length**2, max_size=length**2)))
    scores, truth = scores.reshape(length, length), truth.reshape(length, length)  # few values: many ties
    low = data.draw(st.integers(1, 6))
    high = data.draw(st.none() | st.integers(low, 9))
    fraction = data.draw(st.sampled_from([1.0, 0.5, 0.2, 2.0]))
    expected = by_hand(scores.tolist(), truth.tolist(), low, high, fraction)
    if expected is None:
        with pytest.raises(ValueError, match="no pair at separation"):
            contacts.precision_at_l(scores, truth, low, high, fraction)
    else:
        assert contacts.precision_at_l(scores, truth, low, high, fraction) == pytest.approx(expected)


def test_precision_by_hand():
    scores, truth = np.zeros((4, 4)), np.zeros((4, 4), bool)
    scores[0, 1], scores[0, 2], scores[0, 3], scores[1, 3] = 9, 1, 3, 2
    scores[3, 0] = 99  # below the diagonal: does not count
    truth[0, 1] = truth[0, 3] = truth[1, 2] = True
    assert contacts.precision_at_l(scores, truth, 2) == pytest.approx(1 / 3)  # three pairs, all counted
    assert contacts.precision_at_l(scores, truth, 1) == pytest.approx(2 / 4)  # 01 and 03 of 01, 03, 13, 02
    assert contacts.precision_at_l(scores, truth, 1, 1) == pytest.approx(2 / 3)  # 01, 12, 23
    assert contacts.precision_at_l(scores, truth, 2, fraction=0.5) == pytest.approx(1 / 2)  # 03 of 03, 13


def test_precision_refuses_what_has_no_rank():
    scores = np.zeros((8, 8))
    scores[0, 7] = np.nan
    with pytest.raises(ValueError, match=r"score of the pair \(0, 7\) is nan"):
        contacts.precision_at_l(scores, np.zeros((8, 8), bool))
    with pytest.raises(ValueError, match=r"square maps \[L, L\], not \[8, 8\] and \[9, 9\]"):
        contacts.precision_at_l(np.zeros((8, 8)), np.zeros((9, 9), bool))


def test_ranges_cover_each_separation_once():
    covered = [j - i for low, high in contacts.RANGES.values() for i, j in zip(*contacts.pairs(60, low, high))]
    assert len(covered) == len(contacts.pairs(60)[0]) and min(covered) == 6


# --- the head ---

def planted(seed, length=40):
    """Twelve heads that look at random places; one of them, more faintly, from residue j at each i that it touches."""
    generator = np.random.default_rng(seed)
    truth = np.triu(generator.random((length, length)) < 0.05, 6)
    maps = 0.5 * (generator.random((2, 6, length, length)) < 0.05)
    maps[1, 0] = 0.02 * generator.random((length, length)) + 0.2 * truth.T
    return torch.from_numpy(maps).float(), truth | truth.T


def test_a_planted_contact_is_found_by_the_regression_and_lost_by_the_mean():
    trained = [planted(seed) for seed in range(4)]
    maps, truth = planted(9)
    maps[:, :, :, 5] += 0.1  # a residue at which all others look: what the correction is for
    head = contacts.fit_contact_head(*zip(*trained))
    mean = contacts.symmetric_apc(maps.mean((0, 1))).numpy()
    share = truth[contacts.pairs(len(truth))].mean()
    fraction = truth[contacts.pairs(len(truth))].sum() / len(truth)
    assert contacts.precision_at_l(head.predict(maps), truth, fraction=fraction) > 0.95
    assert contacts.precision_at_l(mean, truth, fraction=fraction) < 4 * share < 0.25
    assert abs(head.weight).argmax() == 6 and head.weight.shape == (2, 6)


def test_c_is_the_inverse_of_the_penalty():
    trained = [planted(seed) for seed in range(4)]
    heads = [contacts.fit_contact_head(*zip(*trained), c=c) for c in (1e-4, 0.15, 1000)]
    used, size = [(head.weight != 0).sum() for head in heads], [abs(head.weight).sum() for head in heads]
    assert used[0] == 0 and 1 <= used[1] < 12 and size[0] < size[1] < size[2]


def test_prediction_is_a_symmetric_probability(plm):
    head = contacts.ContactHead(np.array([[1.0, 0], [0, -2], [0.5, 0]]), -1.0)
    maps = contacts.attention_maps(plm, SEQUENCE)
    found = head.predict(maps)
    expected = -1.0 + sum(w * contacts.symmetric_apc(m.double()) for w, m in zip([1.0, -2, 0.5], maps[[0, 1, 2], [0, 1, 0]]))
    assert np.allclose(found, torch.sigmoid(expected)) and np.allclose(found, found.T)
    assert np.allclose(head.predict_sequence(plm, SEQUENCE), found)
    assert np.allclose(head.predict(maps.numpy()), found)


def test_a_head_is_saved_and_loaded(tmp_path, plm):
    head = contacts.fit_contact_head(*zip(*[planted(seed) for seed in range(2)]))
    head.save(tmp_path / "head.npz")
    again = contacts.ContactHead.load(tmp_path / "head.npz")
    assert np.array_equal(again.weight, head.weight) and again.bias == head.bias
    with pytest.raises(ValueError, match="fitted on 2 layers x 6 heads, the model has 3 layers x 2 heads"):
        again.predict_sequence(plm, SEQUENCE)
    with pytest.raises(ValueError, match="fitted on 2 layers x 6 heads, the maps have 3 layers x 2 heads"):
        again.predict(contacts.attention_maps(plm, SEQUENCE))


def test_a_fit_needs_contacts():
    maps = torch.rand(1, 2, 10, 10)
    with pytest.raises(ValueError, match="of 10 training pairs 0 are contacts"):
        contacts.fit_contact_head([maps], [np.zeros((10, 10), bool)])


# --- where heads look ---

def test_head_profile_counts_both_directions():
    maps = torch.rand(2, 3, 30, 30)
    found = contacts.head_profile(maps)
    assert found.shape == (2, 3, 3)
    one, share = maps[1, 2].double(), {1: 0.0, 2: 0.0, 3: 0.0}
    for i in range(30):
        for j in range(30):
            kind = {1: 1, 3: 2, 4: 2}.get(abs(i - j), 3 if abs(i - j) >= 24 else 0)
            if kind:
                share[kind] += float(one[i, j] / one.sum())
    assert np.allclose(found[1, 2], list(share.values()))
