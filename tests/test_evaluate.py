"""The evaluation: measures against answers worked out by hand, and a card that cannot say what the figures do not."""

import copy
import json
import math
import re
import shutil
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch
from evaluation import card, contacts, mutations, perplexity, structure

import plmcourse as pc
from plmcourse import datasets, models, pretraining

EMBEDDED = datasets.DATA / "models" / models.EMBEDDED


@pytest.fixture(scope="module")
def plm():
    """A random model small enough for every section, with attention that can be read."""
    return models.untrained(layers=2, dim=16, heads=2, seed=3)


@pytest.fixture(scope="module")
def chains():
    """Four short chains with coordinates and with contacts far along the chain."""
    known = sorted(datasets.chains("chains_train"), key=lambda chain: len(chain["sequence"]))

    def long_range(chain):
        return np.triu(contacts.contact_map(chain["xyz"]), contacts.LONG_RANGE).sum() / len(chain["sequence"])

    return [chain for chain in known if long_range(chain) > 0.8][:4]


# ---------------------------------------------------------------- perplexity


def test_the_unigram_stand_in_gives_the_unigram_perplexity(plm):
    train, test = ["MKTAYIAKQR", "GGSSLLVVAA"], ["MKTAY", "ACDEFGHIKLMNPQRSTVWY"]
    found = pretraining.masked_perplexity(perplexity.Unigram(plm, train), test, mask_prob=1.0)
    assert found == pytest.approx(pc.unigram_perplexity(train, test), rel=1e-5)


def test_perplexities_are_those_of_the_package(plm):
    test = list(datasets.load("pretrain_heldout").values())[:3]
    found = perplexity.compare(plm, {"unigram": perplexity.Unigram(plm, test)}, test)
    assert found["model"][0] == pytest.approx(pc.masked_perplexity(plm, test), rel=1e-5)
    assert found["ratio"][0] == pytest.approx(found["model"][0] / found["unigram"][0])
    assert found["model"][1] <= found["model"][0] <= found["model"][2]
    assert 0.1 < found["masked_residues"] / sum(map(len, test)) < 0.2


def test_members_are_split_by_family():
    assert perplexity.by_family({"HBB|P1": "MK", "HBB|P2": "MR", "HEWL|P1": "GG"}) == {
        "HBB": ["MK", "MR"],
        "HEWL": ["GG"],
    }
    with pytest.raises(ValueError, match="'P68871' .* is not FAMILY|ACCESSION"):
        perplexity.by_family({"P68871": "MK"})


def test_the_unigram_of_a_family_does_not_count_what_is_held_out(plm):
    members = list(datasets.load("globins").values())
    own = perplexity.family_unigram(plm, "HBB", members[5:])
    expected = perplexity.Unigram(plm, set(members[:5]) - set(members[5:]))
    assert torch.equal(own.logits, expected.logits)
    assert perplexity.family_unigram(plm, "HEWL", []) is None


# ---------------------------------------------------------------- mutations


@pytest.mark.parametrize("name", mutations.SCANS)
def test_scans_hold_single_mutants_that_fit_their_protein(name):
    scan, sequence = mutations.load_scan(name), datasets.load("wild_types")[name]
    table = np.arange(20.0 * len(sequence)).reshape(-1, 20)
    found = pc.additive_scores(table, sequence, scan["mutation"])  # refuses a wild type that is not there
    assert len(found) == len(scan) > 400 and np.isfinite(scan["score"]).all()


def test_preferences_become_log_ratios():
    row = datasets.load("ha_preferences").iloc[6]
    mutant = next(residue for residue in pc.RESIDUES if residue != row["wild"])
    scan = mutations.load_scan("ha").set_index("mutation")["score"]
    expected = math.log2(row[mutant] / row[row["wild"]])
    assert scan[f"{row['wild']}{row['position']}{mutant}"] == pytest.approx(expected)


def test_a_table_of_the_answers_correlates_perfectly():
    scan, sequence = mutations.load_scan("gb1"), datasets.load("wild_types")["gb1"]
    answers = np.zeros((len(sequence), 20))
    for mutation, score in scan.itertuples(index=False):
        answers[int(mutation[1:-1]) - 1, pc.RESIDUES.index(mutation[-1])] = score
    found = mutations.compare({"masked_marginals": answers, "blosum62": -answers}, sequence, scan)
    assert found["masked_marginals"] == pytest.approx((1, 1, 1)) and found["blosum62"][0] == pytest.approx(-1)
    assert found["gain"][0] == pytest.approx(2) and found["mutants"] == len(scan)


def test_drawing_positions_gives_wider_intervals_than_drawing_mutants():
    positions = np.repeat(np.arange(30), 19)
    values = np.random.default_rng(0).normal(size=30)[positions]
    _, low, high = mutations.over_positions(np.mean, positions, values)
    _, narrow_low, narrow_high = pc.bootstrap_ci(np.mean, values)
    assert high - low > 2 * (narrow_high - narrow_low)


def test_baselines_of_a_protein():
    wild_types = datasets.load("wild_types")
    assert (
        mutations.profile_of(wild_types["tem1"]).shape == (263, 20) and mutations.profile_of(wild_types["ha"]) is None
    )
    tables = mutations.baseline_tables("WA")
    assert set(tables) == {"blosum62", "background"}
    assert tables["blosum62"][0, pc.RESIDUES.index("W")] == 11 and tables["blosum62"][1, pc.RESIDUES.index("W")] == -3
    shares = mutations.background_frequencies()
    expected = math.log(shares[pc.RESIDUES.index("L")] / shares[pc.RESIDUES.index("W")])
    assert tables["background"][0, pc.RESIDUES.index("L")] == pytest.approx(expected)


def test_mutations_are_measured(plm):
    found = mutations.measure(plm, names=["abeta42"])["abeta42"]
    assert found["mutants"] == 468
    assert found["gain"][0] == pytest.approx(found["masked_marginals"][0] - found["blosum62"][0])


# ---------------------------------------------------------------- contacts


def test_the_head_finds_contacts_that_one_map_shows(plm, chains, monkeypatch):
    """Three maps of noise and one with the contacts: the regression must find it and keep pairs and scores together."""
    truth = {chain["sequence"]: contacts.contact_map(chain["xyz"]) for chain in chains}

    def planted(_, sequence):
        maps = np.random.default_rng(len(sequence)).random((2, 2, len(sequence), len(sequence))) * 0.02
        maps[1, 0] += np.tril(truth[sequence])  # later residues look at earlier ones, not the reverse
        return torch.from_numpy(maps)

    blind = contacts.measure(plm, chains[:2], chains[2:])
    monkeypatch.setattr(contacts, "attention_maps", planted)
    found = contacts.measure(plm, chains[:2], chains[2:])
    ceiling = np.mean(
        [contacts.precision_at_l(truth[c["sequence"]].astype(float), truth[c["sequence"]], contacts.LONG_RANGE) for c in chains[2:]]
    )
    assert found["model"][0] == pytest.approx(ceiling) and found["gain"][0] > 0.2 > blind["gain"][0]
    assert found["heads"] == 4 and 1 <= found["heads_used"] <= 4
    assert found["distance"] == blind["distance"] and found["chance"] == blind["chance"]


def test_the_baseline_prefers_near_pairs(chains):
    model = contacts.fit_distance(chains)
    near, far = model.decision_function(np.log([[24.0], [60.0]]))
    assert near > far


# ---------------------------------------------------------------- structure


def test_windows_of_letters():
    found = structure.one_hot_window("LAG", 1)
    expected = np.zeros((3, 60))
    for row, place, letter in ((0, 1, 0), (0, 2, 1), (1, 0, 0), (1, 1, 1), (1, 2, 2), (2, 0, 1), (2, 1, 2)):
        expected[row, 20 * place + letter] = 1
    assert np.array_equal(found, expected)


def test_eight_states_become_three():
    assert structure.three_states({"ss": list("HGIEBTS C")}).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]


def test_the_layer_that_shows_the_states_is_chosen():
    rng = np.random.default_rng(0)
    states = [rng.integers(0, 3, 40) for _ in range(10)]
    noise = [rng.normal(size=(40, 3)) for _ in states]
    clear = [np.eye(3)[s] + 0.1 * rng.normal(size=(40, 3)) for s in states]
    assert structure.choose_layer([noise, clear, noise], states) == 1
    right = structure.right_residues(clear[:5], states[:5], clear[5:], states[5:])
    assert right.tolist() == [40] * 5


def test_structure_is_measured(plm):
    train = datasets.chains("secondary_structure_train")[:6]
    test = datasets.chains("secondary_structure_test")[:3]
    found = structure.measure(plm, train, test)
    assert found["residues"] == sum(len(chain["ss"]) for chain in test) and found["chains"] == 3
    assert found["gain_over_residue"][0] == pytest.approx(found["model"][0] - found["residue"][0])
    assert 0.2 < found["residue"][0] < 0.9


def test_the_random_twin_has_the_same_shape_and_other_weights(plm):
    twin, again = structure.random_like(plm), structure.random_like(plm)
    shapes = [[tuple(p.shape) for p in model.model.parameters()] for model in (plm, twin)]
    assert shapes[0] == shapes[1]
    vectors = [pc.embed(model, ["MKTAYIAK"])[0] for model in (plm, twin, again)]
    assert torch.equal(vectors[1], vectors[2]) and not torch.allclose(vectors[0], vectors[1])


# ---------------------------------------------------------------- the card


FIGURES = {
    "weights": {
        "name": "tiny",
        "size": "8M",
        "sha256": "ab" * 32,
        "parameters": 7_512_474,
        "layers": 6,
        "dim": 320,
        "heads": 20,
        "precision": "fp16",
        "megabytes": 15.0,
    },
    "perplexity": {
        "general": {
            "proteins": 300,
            "masked_residues": 11_603,
            "model": [12.1, 11.9, 12.3],
            "unigram": [17.9, 17.7, 18.1],
            "ratio": [0.68, 0.66, 0.7],
        },
        "families": {
            "HBB": {
                "proteins": 24,
                "masked_residues": 501,
                "model": [3.7, 2.8, 5.0],
                "unigram": [17.6, 17.1, 18.2],
                "unigram_of_family": [16.4, 15.8, 17.2],
                "ratio": [0.21, 0.16, 0.28],
            },
            "HEWL": {
                "proteins": 11,
                "masked_residues": 223,
                "model": [20.4, 19.1, 21.8],
                "unigram": [20.3, 18.6, 22.0],
                "ratio": [1.01, 0.93, 1.09],
            },
        },
    },
    "dms": {
        "tem1": {
            "mutants": 4997,
            "masked_marginals": [0.45, 0.41, 0.49],
            "wild_type_marginals": [0.32, 0.28, 0.36],
            "blosum62": [0.34, 0.3, 0.38],
            "background": [0.07, 0.01, 0.13],
            "profile": [0.37, 0.31, 0.43],
            "gain": [0.11, 0.06, 0.16],
        },
        "ha": {
            "mutants": 10_735,
            "masked_marginals": [-0.07, -0.12, -0.02],
            "wild_type_marginals": [-0.08, -0.14, -0.03],
            "blosum62": [0.27, 0.25, 0.29],
            "background": [-0.09, -0.15, -0.04],
            "gain": [-0.35, -0.4, -0.31],
        },
    },
    "contacts": {
        "chains": 60,
        "chains_fitted": 20,
        "heads": 120,
        "heads_used": 50,
        "model": [0.153, 0.131, 0.175],
        "distance": [0.032, 0.027, 0.038],
        "chance": [0.026, 0.023, 0.029],
        "gain": [0.121, 0.101, 0.141],
    },
    "structure": {
        "chains": 120,
        "residues": 16_393,
        "chains_fitted": 480,
        "layer": 4,
        "random_layer": 1,
        "model": [0.652, 0.631, 0.673],
        "residue": [0.477, 0.461, 0.493],
        "window_of_7": [0.593, 0.576, 0.612],
        "random_weights": [0.534, 0.506, 0.564],
        "gain_over_residue": [0.175, 0.155, 0.195],
        "gain_over_window_of_7": [0.059, 0.039, 0.079],
        "gain_over_random_weights": [0.118, 0.098, 0.138],
    },
}
TRAINING = {
    "steps": 1123,
    "residues": 2_250_000,
    "seconds": 3900,
    "device": "CPU, 2 threads",
    "seed": 0,
    "corpus": {"general": {"proteins": 50_000, "share of crops": 0.15}},
    "masking": "80 % <mask>",
    "new field": "kept",
}


def leaves(value, path=()):
    """Paths of all figures in nested dictionaries and lists."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def changed(figures, path, change):
    """A copy of the figures with one of them changed."""
    figures = copy.deepcopy(figures)
    place = figures
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = change(place[path[-1]])
    return figures


@pytest.mark.parametrize("path", list(leaves(FIGURES)), ids=lambda path: ".".join(map(str, path)))
def test_every_figure_is_on_the_card(path):
    def change(value):
        return value + "x" if isinstance(value, str) else value + 1 if isinstance(value, int) else value + 0.1

    assert card.card_text(changed(FIGURES, path, change), TRAINING) != card.card_text(FIGURES, TRAINING)


def test_all_of_the_training_record_is_on_the_card():
    text = card.card_text(FIGURES, TRAINING)
    for part in (
        "| steps | 1,123 |",
        "| residues read | 2,250,000 |",
        "| time | 1 h 05 min |",
        "| seed | 0 |",
        "| corpus | general (proteins: 50,000; share of crops: 0.15) |",
        "`<mask>`",
        "| new field | kept |",
    ):
        assert part in text


def flowing(text):
    """The text with line breaks as spaces."""
    return re.sub(r"\s+", " ", text)


def test_the_judgement_follows_the_figures():
    good = flowing(card.judgement_text(FIGURES))
    assert "12.1, is clearly below that of counting letters, 17.9" in good
    assert "clearly below in 1 of 2 (haemoglobins and other globins 3.7). It is not in: lysozyme C." in good
    assert "above on TEM-1; below on haemagglutinin" in good
    assert "0.45) is above the 0.399 published" in good
    assert (
        "It clearly beats baselines without a model in zero-shot scores (TEM-1), long-range contacts (precision"
        in good
    )
    assert "Not for conclusions about zero-shot scores (haemagglutinin):" in good
    bad = copy.deepcopy(FIGURES)
    bad["perplexity"]["general"]["ratio"] = [1.2, 1.1, 1.3]
    bad["perplexity"]["families"]["HBB"]["ratio"] = [1.2, 1.1, 1.3]
    bad["dms"]["tem1"] |= {"gain": [-0.1, -0.2, 0.02], "masked_marginals": [0.3, 0.2, 0.35]}
    bad["contacts"]["gain"] = [-0.02, -0.03, -0.01]
    bad["structure"]["gain_over_window_of_7"] = [0.01, -0.01, 0.03]
    text = flowing(card.judgement_text(bad))
    assert "is clearly above that of counting letters" in text and "clearly below in 0 of 2." in text
    assert "not clearly different on TEM-1" in text and "0.32) is below the 0.399" in text
    assert "Nowhere does it clearly beat" in text and "0.153, is below that of guessing" in text
    assert "not clearly different from what seven letters give" in text


def test_intervals_and_durations_in_words():
    assert card.interval([0.123, -0.05, 0.2], 2) == "0.12 (-0.05 to 0.20)"
    assert [card.duration(s) for s in (45, 1200, 3599, 3900)] == ["45 s", "20 min", "1 h 00 min", "1 h 05 min"]
    assert [card.verdict(t) for t in ([1, 0.5, 2], [0, -1, 1], [-1, -2, -0.5])] == ["better", "undecided", "worse"]
    assert card.listed(["a"]) == "a" and card.listed("abc") == "a, b and c"


# ---------------------------------------------------------------- the command


@pytest.fixture
def folder(tmp_path, plm, monkeypatch):
    """Weights of the tiny model with a training record, and sections that measure very little."""
    place = tmp_path / "tiny"
    plm.model.save_pretrained(place)
    shutil.copy(EMBEDDED / "vocab.txt", place)
    (place / "training.json").write_text(json.dumps(TRAINING), encoding="utf-8")
    sections = {name: lambda plm, name=name: copy.deepcopy(FIGURES[name]) for name in evaluate.SECTIONS}
    general, families = {"a": "MKTAYIAKQRQISFVK" * 4, "b": "GSHMLEDPVAAR" * 5}, {"HEWL|x": "KVFGRCELAAAMKR" * 4}
    sections["perplexity"] = lambda plm: perplexity.measure(plm, general, families)
    monkeypatch.setattr(evaluate, "SECTIONS", sections)
    return place


def test_the_card_is_written_and_checked(folder, capsys):
    assert evaluate.main([str(folder), "--card"]) == 0
    first = capsys.readouterr().out
    assert evaluate.main([str(folder), "--check"]) == 0
    second = capsys.readouterr().out
    assert second.startswith(first) and re.search(r"all \d+ figures agree", second)
    figures = evaluate.read(folder, "evaluation.json")
    assert figures["weights"]["sha256"] == datasets.sha256(folder / "model.safetensors")
    assert figures["weights"]["layers"] == 2 and figures["weights"]["name"] == "tiny"
    assert card.figures_text(figures) in (folder / "README.md").read_text(encoding="utf-8")
    assert str(folder.parent) not in (folder / "evaluation.json").read_text() + (folder / "README.md").read_text()


def alter(folder, path, change, render):
    """Change one figure of evaluation.json, and write the card anew if asked."""
    figures = changed(evaluate.read(folder, "evaluation.json"), path, change)
    (folder / "evaluation.json").write_text(json.dumps(figures))
    if render:
        (folder / "README.md").write_text(card.card_text(figures, TRAINING), encoding="utf-8")


@pytest.mark.parametrize("path, name", [
    (("perplexity", "general", "model", 0), "perplexity.general.model (value)"),
    (("perplexity", "families", "HEWL", "ratio", 2), "perplexity.families.HEWL.ratio (high)"),
    (("dms", "ha", "mutants"), "dms.ha.mutants"),
    (("contacts", "gain", 1), "contacts.gain (low)"),
    (("structure", "layer"), "structure.layer"),
])  # fmt: skip
def test_an_altered_figure_is_named(folder, capsys, path, name):
    evaluate.main([str(folder), "--card"])
    alter(folder, path, lambda value: value + 1 if isinstance(value, int) else value + 0.2, render=True)
    assert evaluate.main([str(folder), "--check"]) == 1
    assert f"{name} is " in capsys.readouterr().err


def test_a_card_that_says_something_else_is_found(folder, capsys):
    evaluate.main([str(folder), "--card"])
    page = folder / "README.md"
    page.write_text(page.read_text(encoding="utf-8").replace("0.153", "0.253", 1), encoding="utf-8")
    assert evaluate.main([str(folder), "--check"]) == 1
    assert "of README.md is not what evaluation.json and training.json say" in capsys.readouterr().err
    evaluate.main([str(folder), "--card"])
    page.write_text(page.read_text(encoding="utf-8") + "It is the best.\n", encoding="utf-8")
    assert evaluate.main([str(folder), "--check"]) == 1


def test_other_weights_are_found(folder, capsys):
    evaluate.main([str(folder), "--card"])
    alter(folder, ("weights", "sha256"), lambda value: "0" * 64, render=True)
    assert evaluate.main([str(folder), "--check"]) == 1
    assert "weights.sha256 is " in capsys.readouterr().err
    assert evaluate.main([str(folder), "--card", "--only", "dms"]) == 1
    assert "are of other weights: measure perplexity, contacts, structure again too" in capsys.readouterr().err


def test_sections_can_be_measured_one_by_one(folder, capsys):
    assert evaluate.main([str(folder), "--card", "--only", "dms"]) == 1
    assert "has no evaluation.json" in capsys.readouterr().err and not (folder / "README.md").exists()
    evaluate.main([str(folder), "--card"])
    alter(folder, ("dms", "ha", "mutants"), lambda value: 7, render=True)
    capsys.readouterr()
    assert evaluate.main([str(folder), "--check", "--only", "contacts,structure"]) == 0
    printed = capsys.readouterr().out
    assert "### Secondary structure" in printed and "### Deep" not in printed
    assert evaluate.main([str(folder), "--card", "--only", "dms"]) == 0
    assert evaluate.read(folder, "evaluation.json")["dms"] == FIGURES["dms"]


def test_a_card_that_would_be_wrong_is_refused(folder, capsys, monkeypatch):
    assert evaluate.main(["8M", "--card"]) == 1
    assert "name their folder, not 8M" in capsys.readouterr().err
    (folder / "training.json").rename(folder / "gone")
    assert evaluate.main([str(folder), "--card"]) == 1
    assert "has no training.json, which says how these weights were trained" in capsys.readouterr().err
    (folder / "gone").rename(folder / "training.json")
    metas = models.Size("8M", "someone/8M", "0", 6, 320, 20, 1, (datasets.sha256(folder / "model.safetensors"),))
    monkeypatch.setitem(models.FAMILY, "8M", metas)
    assert evaluate.main([str(folder), "--card"]) == 1
    assert "holds Meta's weights" in capsys.readouterr().err


def test_bad_calls_get_one_sentence(folder, capsys):
    assert evaluate.main(["no-such-folder"]) == 1
    assert "'no-such-folder' is neither a model size" in capsys.readouterr().err
    assert evaluate.main([str(folder), "--check"]) == 1
    assert "has no evaluation.json" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate.main([str(folder), "--only", "dms,speed"])
    assert "there is no section 'speed'" in capsys.readouterr().err


def test_a_missing_and_a_new_figure_are_differences():
    fewer = copy.deepcopy(FIGURES)
    del fewer["dms"]["ha"]["mutants"]
    assert evaluate.first_difference(fewer, FIGURES) == "dms.ha.mutants is 10735, and evaluation.json does not have it"
    assert "is not measured any more" in evaluate.first_difference(FIGURES, fewer)
    assert evaluate.first_difference(FIGURES, copy.deepcopy(FIGURES)) is None
    assert evaluate.same(1.0, 1.001) and not evaluate.same(0.3, 0.304) and not evaluate.same(4, 5)


def test_the_committed_card_is_what_its_figures_say(lacking):
    if not (EMBEDDED / "evaluation.json").exists():
        lacking("the embedded weights have no evaluation.json yet: tools/evaluate.py --card writes it")
    assert evaluate.stale_card(Path(EMBEDDED)) is None
