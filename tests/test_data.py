"""The data files: what the manifest promises, what a reader relies on, and that building gives the same bytes again."""

import gzip
import importlib
import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plmcourse import datasets

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = "LAGVSERTIDPKQNFYMHWC"
SCANS = {"tem1": 4997, "gb1": 813, "abeta42": 14483, "tdp43": 53468}
STRUCTURES = ("chains_train", "chains_test", "secondary_structure_train", "secondary_structure_test")
COURSE_CHAINS = "1M40_A 2CE2_A 1A3A_B 2VB1_A 5NVG_A 3FIL_A 1QYS_A 4PSS_A 2WUR_A".split()
KEYS = {"file", "bytes", "sha256", "rows", "unit", "description", "source", "licence", "citation", "filter"}


@pytest.fixture(scope="module")
def builder():
    """tools/build_data.py as a module, with the writers it uses."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield importlib.import_module("build_data")
    sys.path.remove(str(ROOT / "tools"))


def chain(name, wanted):
    """The arrays of one chain of a structure set."""
    arrays = datasets.load(name)
    i = list(arrays["id"]).index(wanted)
    part = slice(arrays["offset"][i], arrays["offset"][i + 1])
    return {"sequence": str(arrays["sequence"][i])} | {
        key: arrays[key][part] for key in ("ss", "sasa", "rsa", "phi_psi", "profile", "xyz") if key in arrays
    }


@pytest.fixture(scope="module")
def formats(builder):
    """The writers and cluster helpers of the builder."""
    return sys.modules["data_sets.formats"]


@pytest.fixture(scope="module")
def packages(builder):
    """The part of the builder that fetches and verifies packages."""
    return sys.modules["data_sets.packages"]


# ---------------------------------------------------------------- the manifest


def test_every_file_has_an_entry_and_every_entry_a_file():
    listed = {"manifest.json", "README.md", "models/course-8M/README.md"}
    for name in datasets.names():
        entry = datasets.info(name)
        listed.add(entry["file"])
        listed.update(str(Path(entry["file"]).with_name(other)) for other in entry.get("companions", {}))
    there = {str(p.relative_to(ROOT / "data")) for p in (ROOT / "data").rglob("*") if p.is_file()}
    assert there == listed


@pytest.mark.parametrize("name", datasets.names())
def test_entry_is_complete_and_true(name):
    entry, file = datasets.info(name), ROOT / "data" / datasets.info(name)["file"]
    assert KEYS <= set(entry)
    assert {"package", "version", "client", "file"} == set(entry["source"])
    assert all(
        isinstance(entry[key], str) and entry[key].strip() for key in ("description", "licence", "citation", "filter")
    )
    assert "{" not in entry["description"] + entry["filter"] + entry.get("score", "")
    assert file.stat().st_size == entry["bytes"]
    assert datasets.path(name) == file  # compares the checksum too
    for other, facts in entry.get("companions", {}).items():
        assert datasets.sha256(file.with_name(other)) == facts["sha256"]


@pytest.mark.parametrize("name", [n for n in datasets.names() if n != "course-8M"])
def test_rows(name):
    loaded, rows = datasets.load(name), datasets.info(name)["rows"]
    if name in STRUCTURES:
        assert len(loaded["id"]) == len(loaded["offset"]) - 1 == rows
    elif name in ("1ubq", "1hel"):
        assert (loaded.atom_name == "CA").sum() == rows
    else:
        assert len(loaded) == rows


def test_total_size():
    total = sum(datasets.info(n)["bytes"] for n in datasets.names() if n != "course-8M")
    assert total <= 12e6
    assert datasets.info("course-8M")["rows"] == 7_512_474


def test_readme_is_what_the_manifest_says(builder):
    files = {name: datasets.info(name) for name in builder.NAMES}
    assert (ROOT / "data" / "README.md").read_text() == builder.readme_text(files)
    assert (ROOT / "data" / "manifest.json").read_text() == builder.manifest_text(files)


# ---------------------------------------------------------------- deep mutational scans


@pytest.mark.parametrize("name", SCANS)
def test_mutations_agree_with_the_wild_type(name):
    wild, table = datasets.load("wild_types")[name], datasets.load(name)
    assert len(table) == SCANS[name]
    assert table["mutation"].is_unique and table["score"].notna().all()
    for mutation, count in zip(table["mutation"], table["n_mutations"]):
        steps = [re.fullmatch(r"([A-Y])([1-9]\d*)([A-Y])", step).groups() for step in mutation.split(":")]
        assert len(steps) == count
        places = [int(place) for _, place, _ in steps]
        assert places == sorted(set(places))
        for a, place, b in steps:
            assert wild[int(place) - 1] == a != b and b in COLUMNS


def test_published_numbers():
    first = {
        line[1:].split()[0]: int(re.search(r"first=(\d+)", line)[1])
        for line in datasets.path("wild_types").read_text().splitlines()
        if line[0] == ">"
    }
    assert first == {"tem1": 26, "gb1": 1, "abeta42": 1, "tdp43": 290, "ha": 1}
    tem1 = datasets.load("tem1").set_index("published")["mutation"]
    assert tem1["S70A"] == "S45A" and tem1["E166A"] == "E141A" and tem1["K234A"] == "K209A"
    assert tem1["H26A"] == "H1A" and tem1["W290A"] == "W263A"  # two numbers, 239 and 253, are skipped
    sites = set(tem1.index.str[1:-1].astype(int))
    assert sites == set(range(26, 291)) - {239, 253}
    shifted = datasets.load("tdp43").query("n_mutations == 1")
    assert ((shifted["published"].str[1:-1].astype(int) - shifted["mutation"].str[1:-1].astype(int)) == 289).all()


def test_wild_types():
    wild = datasets.load("wild_types")
    assert {name: len(s) for name, s in wild.items()} == {"tem1": 263, "gb1": 56, "abeta42": 42, "tdp43": 84, "ha": 565}
    assert wild["abeta42"] == "DAEFRHDSGYEVHHQKLVFFAEDVGSNKGAIIGLMVGGVVIA"
    crystal = chain("chains_test", "1M40_A")["sequence"]
    different = [(a, i + 1, b) for i, (a, b) in enumerate(zip(wild["tem1"], crystal)) if a != b]
    assert different == [("M", 157, "T")]  # the stabilising M182T
    variant = chain("chains_test", "3FIL_A")["sequence"]
    assert sum(a != b for a, b in zip(wild["gb1"], variant)) <= 5


@pytest.mark.parametrize("name", ["tem1", "gb1"])
def test_higher_is_fitter(name):
    """Proline and, in the core, anything must hurt; a sign turned by mistake fails here."""
    table = datasets.load(name)
    proline = table["mutation"].str.endswith("P")
    assert table.loc[proline, "score"].mean() < table.loc[~proline, "score"].mean() - 0.5
    core = {"tem1": [45, 48, 105, 141, 209], "gb1": [5, 26, 30, 52, 54]}[name]
    inside = table["mutation"].str[1:-1].astype(int).isin(core)
    assert table.loc[inside, "score"].mean() < table.loc[~inside, "score"].mean() - 1


def test_orientation_of_the_aggregating_peptides():
    abeta = datasets.load("abeta42").query("n_mutations == 1")
    core = abeta["mutation"].str[1:-1].astype(int).between(29, 41)
    assert abeta.loc[core, "score"].mean() < abeta.loc[~core, "score"].mean() - 1  # the fibril's core tolerates least
    tdp = datasets.load("tdp43").query("n_mutations == 1")
    greasy, charged = tdp["mutation"].str[-1].isin(list("FILWY")), tdp["mutation"].str[-1].isin(list("DEKR"))
    assert (
        tdp.loc[greasy, "score"].mean() > tdp.loc[charged, "score"].mean() + 0.1
    )  # hydrophobic: less toxic (publication)


def test_tem1_replicates():
    table = datasets.load("tem1")
    assert table["replicate_1"].notna().all() and table["replicate_2"].isna().sum() == 19
    np.testing.assert_allclose(table["score"], table[["replicate_1", "replicate_2"]].mean(axis=1), atol=1e-3)
    assert 0.94 < table["replicate_1"].corr(table["replicate_2"]) < 0.97


def test_no_stop_codons():
    assert not any(datasets.load(name)["mutation"].str.contains("*", regex=False).any() for name in SCANS)


def test_haemagglutinin_preferences():
    table = datasets.load("ha_preferences")
    assert list(table.columns) == ["position", "wild", *COLUMNS]
    assert list(table["position"]) == list(range(1, 566))
    assert "".join(table["wild"]) == datasets.load("wild_types")["ha"]
    values = table[list(COLUMNS)]
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-3)
    assert 0.6 < (values.idxmax(axis=1) == table["wild"]).mean() < 0.7


# ---------------------------------------------------------------- structures


@pytest.mark.parametrize("name", STRUCTURES)
def test_structure_arrays_agree(name):
    arrays = datasets.load(name)
    lengths = [len(s) for s in arrays["sequence"]]
    assert np.array_equal(np.diff(arrays["offset"]), lengths) and arrays["offset"][0] == 0
    residues = arrays["offset"][-1]
    for key in ("ss", "sasa", "rsa", "phi_psi", "profile"):
        assert len(arrays[key]) == residues
    assert arrays["profile"].shape[1] == 20 and arrays["phi_psi"].shape[1] == 2
    assert ("xyz" in arrays) == name.startswith("chains")
    assert set(arrays["ss"]) == set("HGIEBTSC")
    assert set("".join(arrays["sequence"])) == set(COLUMNS)
    assert all(50 <= n <= 250 for n, i in zip(lengths, arrays["id"]) if i != "1M40_A")
    np.testing.assert_allclose(arrays["profile"].astype(float).sum(1), 1, atol=5e-3)
    assert np.abs(arrays["phi_psi"]).max() < 3.15


@pytest.mark.parametrize("name", STRUCTURES)
def test_profile_columns_and_surface(name):
    """The profile's top letter is often the residue itself; charged residues lie at the surface, greasy ones inside."""
    arrays = datasets.load(name)
    letters = np.array(list("".join(arrays["sequence"])))
    top = np.array(list(COLUMNS))[arrays["profile"].argmax(1)]
    assert 0.38 < (top == letters).mean() < 0.95
    for letter in COLUMNS:
        mean = arrays["profile"][letters == letter].astype(float).mean(0)
        assert mean[COLUMNS.index(letter)] > 1.5 * arrays["profile"].astype(float)[:, COLUMNS.index(letter)].mean()
    rsa = {letter: arrays["rsa"][letters == letter].mean() for letter in "KEILFV"}
    assert min(rsa["K"], rsa["E"]) > 2 * max(rsa[a] for a in "ILFV")
    assert 0.2 < arrays["rsa"].mean() < 0.3 and arrays["rsa"].max() < 1.5 and arrays["rsa"].min() >= 0


@pytest.mark.parametrize("name", ["chains_train", "chains_test"])
def test_coordinates(name):
    arrays = datasets.load(name)
    for begin, end in zip(arrays["offset"], arrays["offset"][1:]):
        xyz = arrays["xyz"][begin:end]
        step = np.linalg.norm(np.diff(xyz[:, 1], axis=0), axis=1)
        assert abs(np.median(step) - 3.8) < 0.03 and step.min() > 2.7 and step.max() < 4.2
        assert np.abs(np.linalg.norm(xyz[1:, 0] - xyz[:-1, 2], axis=1) - 1.33).max() < 0.15  # the peptide bond C-N
        assert np.abs(np.linalg.norm(xyz[:, 1] - xyz[:, 0], axis=1) - 1.46).max() < 0.15  # N-CA
        assert np.abs(np.linalg.norm(xyz[:, 3] - xyz[:, 2], axis=1) - 1.23).max() < 0.15  # C=O


def test_torsions_belong_to_the_coordinates():
    """phi and psi follow from the backbone, so the order is N, CA, C, O and the angles are radians."""
    arrays = chain("chains_test", "5NVG_A")

    def torsion(a, b, c, d):
        n1, n2 = np.cross(b - a, c - b), np.cross(c - b, d - c)
        return np.arctan2((np.cross(n1, n2) * (c - b)).sum(1) / np.linalg.norm(c - b, axis=1), (n1 * n2).sum(1))

    n, ca, c = (arrays["xyz"][:, i].astype(float) for i in range(3))
    for stored, computed in (
        (arrays["phi_psi"][1:, 0], torsion(c[:-1], n[1:], ca[1:], c[1:])),
        (arrays["phi_psi"][:-1, 1], torsion(n[:-1], ca[:-1], c[:-1], n[1:])),
    ):
        assert np.abs(np.angle(np.exp(1j * (stored - computed)))).max() < 0.05


def test_known_proteins():
    ubiquitin = chain("chains_test", "5NVG_A")
    assert ubiquitin["sequence"] == "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
    assert set(ubiquitin["ss"][24:32]) == {"H"} and set(ubiquitin["ss"][2:6]) == {"E"}  # the helix and the first strand
    from biotite.sequence import ProteinSequence
    from biotite.structure import filter_amino_acids
    from scipy.spatial.transform import Rotation

    atoms = datasets.load("1ubq")
    native = atoms[filter_amino_acids(atoms) & (atoms.atom_name == "CA")]
    assert "".join(ProteinSequence.convert_letter_3to1(r) for r in native.res_name) == ubiquitin["sequence"]
    core = slice(0, 72)  # the last four residues of ubiquitin swing freely
    pair = [xyz - xyz.mean(0) for xyz in (native.coord[core], ubiquitin["xyz"][core, 1])]
    assert Rotation.align_vectors(*pair)[1] / 72 ** 0.5 < 1  # Å
    lysozyme = datasets.load("1hel")
    lysozyme = lysozyme[filter_amino_acids(lysozyme) & (lysozyme.atom_name == "CA")]
    letters = "".join(ProteinSequence.convert_letter_3to1(r) for r in lysozyme.res_name)
    assert letters == chain("chains_test", "2VB1_A")["sequence"]
    assert len(datasets.load("secondary_structure_train")["id"]) >= 400


def test_surface_is_in_square_angstrom():
    from biotite.structure import apply_residue_wise, filter_amino_acids, sasa

    for name, wanted in (("1ubq", "5NVG_A"), ("1hel", "2VB1_A")):
        atoms = datasets.load(name)
        atoms = atoms[filter_amino_acids(atoms)]
        own = apply_residue_wise(atoms, sasa(atoms, vdw_radii="Single"), np.nansum)
        stored = chain("chains_test", wanted)
        assert np.corrcoef(own, stored["sasa"])[0, 1] > 0.9
        assert abs(stored["sasa"].sum() / own.sum() - 1) < 0.15
        lysine = [i for i, a in enumerate(stored["sequence"]) if a == "K"]
        np.testing.assert_allclose(stored["rsa"][lysine], stored["sasa"][lysine] / 236, atol=1e-3)


def test_structure_sets_share_no_family():
    families = {name: set(datasets.load(name)["cluster"].tolist()) for name in STRUCTURES}
    for name in STRUCTURES:
        assert len(families[name]) == len(datasets.load(name)["id"])  # one chain per family
        for other in STRUCTURES:
            assert name == other or not families[name] & families[other]
    assert set(COURSE_CHAINS) <= set(datasets.load("chains_test")["id"])
    assert len(datasets.load("secondary_structure_test")["id"]) >= 100


# ---------------------------------------------------------------- labels


def test_localisation():
    table = datasets.load("localisation")
    assert set(table["label"]) == {"Membrane", "Nucleus", "Secreted", "Cytoplasm", "Mitochondrion"}
    assert table["sequence"].str.len().between(40, 512).all() and table["id"].is_unique and table["sequence"].is_unique
    assert set("".join(table["sequence"])) == set(COLUMNS)
    assert (table.groupby("cluster")["split"].nunique() == 1).all()
    shares = table.groupby("label")["split"].value_counts(normalize=True).unstack()
    for part, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert (shares[part] - share).abs().max() < 0.03
    assert shared_words(table.query("split == 'test'"), table.query("split != 'test'")).max() < 0.1


def shared_words(test, train):
    """For each sequence of one table, the share of its 8-letter words that the other table has too.

    Words of fewer than five different letters do not count: PPPPPPPP is in many proteins that are no relatives.
    """
    words = {s[i : i + 8] for s in train["sequence"] for i in range(len(s) - 7)}
    words = {word for word in words if len(set(word)) >= 5}
    return test["sequence"].map(lambda s: np.mean([s[i : i + 8] in words for i in range(len(s) - 7)]))


def test_seq_location_is_restored():
    """The source's sequences lack six letters; the restored ones have all twenty and begin with methionine."""
    table = datasets.load("seq_location")
    assert set(table["label"]) == {"cytoplasm", "membrane"}
    letters = "".join(table["sequence"])
    assert set(letters) == set(COLUMNS)
    assert 0.25 < sum(letters.count(a) for a in "EFILPQ") / len(letters) < 0.45
    assert table["sequence"].str.startswith("M").mean() > 0.99 and table["id"].is_unique
    assert table["label"].value_counts().min() > 400


def test_disorder():
    table = datasets.load("disorder")
    assert (table["sequence"].str.len() == table["disorder"].str.len()).all()
    marks = "".join(table["disorder"])
    assert set(marks) == {"D", "O"} and len(marks) == 118_248
    assert abs(marks.count("D") / len(marks) - 0.30) < 0.01


# ---------------------------------------------------------------- sequences


def test_pretraining_sample():
    train, held_out = datasets.load("pretrain_train"), datasets.load("pretrain_heldout")
    assert len(train) == 3000 and len(held_out) == 300
    family = set(datasets.load("families")["accession"])
    assert not set(held_out) & (set(train) | family)
    assert not set(held_out.values()) & set(train.values())
    assert all(30 <= len(s) <= 512 for s in [*train.values(), *held_out.values()])
    assert set("".join([*train.values(), *held_out.values()])) == set(COLUMNS)


def test_heldout_proteins_have_no_close_relative_in_train():
    """Without a search tool: a held-out protein shares next to none of its 8-letter words with the sample."""
    train, held_out = (pd.DataFrame({"sequence": datasets.load(f"pretrain_{p}")}) for p in ("train", "heldout"))
    assert shared_words(held_out, train).max() < 0.1


def test_families():
    table = datasets.load("families")
    assert list(table.columns) == ["family", "accession"] and table["family"].value_counts()["HBB"] == 794
    for name, family in (("globins", "HBB"), ("ras", "HRAS")):
        sequences = datasets.load(name)
        assert set(sequences) <= set(table.loc[table["family"] == family, "accession"])
        assert len(set(sequences.values())) == len(sequences) > 500
        assert set("".join(sequences.values())) == set(COLUMNS) and max(map(len, sequences.values())) <= 1022


def test_alignment():
    rows = datasets.load("hras_alignment")
    assert len(rows) == 999 and {len(s) for s in rows.values()} == {161}
    assert set("".join(rows.values())) <= set(COLUMNS + "-")
    query, crystal = next(iter(rows.values())), chain("chains_test", "2CE2_A")["sequence"]
    assert sum(a == b for a, b in zip(query, crystal[4:165])) >= 158  # residues 5-165 of H-Ras


# ---------------------------------------------------------------- the builder


def test_writers_give_the_same_bytes_twice(formats):
    arrays = {"b": np.arange(5, dtype=np.float16), "a": np.array(["x", "yy"])}
    first, second = formats.npz(arrays), formats.npz(dict(reversed(arrays.items())))
    assert first == second
    loaded = np.load(io.BytesIO(first), allow_pickle=False)
    assert loaded["b"].dtype == np.float16 and list(loaded["a"]) == ["x", "yy"]
    packed = formats.gzipped("text\n")
    assert packed == formats.gzipped("text\n") and gzip.decompress(packed) == b"text\n"
    assert packed[3] == 0 and packed[4:8] == b"\0\0\0\0"  # no name, no time


@pytest.mark.parametrize("name", ["tem1", "gb1", "disorder", "chains_train"])
def test_writing_a_set_again_gives_the_committed_bytes(formats, name):
    """Read a committed file and write it again with the builder's writers: the same bytes."""
    committed = datasets.path(name).read_bytes()
    if name == "chains_train":
        assert formats.npz(datasets.load(name)) == committed
    else:
        table = pd.read_csv(datasets.path(name), dtype=str, keep_default_na=False)
        assert gzip.decompress(formats.csv_gz(table)) == gzip.decompress(committed)


def test_check_sees_a_difference(builder):
    entry = datasets.info("gb1")
    content, files = datasets.path("gb1").read_bytes(), {"gb1": entry}
    assert builder.check_one("gb1", content, entry, files) == ""
    assert builder.check_one("gb1", gzip.compress(gzip.decompress(content), 1), entry, files).endswith("same content")
    assert builder.check_one("gb1", gzip.compress(b"other"), entry, files) == "content differs"
    assert builder.check_one("gb1", content, entry | {"rows": 1}, files) == "manifest entry differs"
    assert builder.check_one("gb1", content, entry, {}) == "not committed"


def test_damaged_package_is_refused(packages, tmp_path):
    file = packages.PACKAGES["mavenn"][2]
    (tmp_path / file).write_bytes(b"not a wheel")
    with pytest.raises(packages.BuildError, match=r"mavenn-1\.1\.4.*is not the mavenn 1\.1\.4"):
        packages.Packages(tmp_path).archive("mavenn")


def test_split_by_cluster(builder):
    frame = pd.DataFrame({"cluster": np.repeat(np.arange(100), 3), "label": np.repeat(["a", "b"], 150)})
    frame["split"] = builder.labels.split_by_cluster(frame, {"train": 0.7, "test": 0.3})
    assert (frame.groupby("cluster")["split"].nunique() == 1).all()
    assert (frame.groupby("label")["split"].value_counts(normalize=True).unstack()["test"] - 0.3).abs().max() < 0.02


def test_clusters_are_joined(formats):
    joined = formats.joined({"a": "a", "b": "a", "c": "c", "d": "d"}, [("b", "c")])
    assert joined["a"] == joined["b"] == joined["c"] != joined["d"]
    assert sorted(formats.numbered(joined).values()) == [0, 0, 0, 1]
