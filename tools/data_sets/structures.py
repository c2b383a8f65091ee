"""Protein chains with coordinates and labels, and two all-atom structures."""

import functools
from collections import Counter, defaultdict

import numpy as np
from structure_db import StructureDB

from data_sets.formats import families, npz, shuffled
from data_sets.registry import BUILDERS, COLUMNS, PDB, STANDARD, dataset

PROMOD = "Apache-2.0 (package); Protein Data Bank, CC0 1.0"

# Largest accessible surface of residue X in Gly-X-Gly, Å², theoretical values of Tien et al. (2013) PLoS ONE 8:e80635
SURFACES = (129, 274, 195, 193, 167, 225, 223, 104, 224, 197, 201, 236, 224, 240, 159, 155, 172, 285, 263, 174)
LARGEST_SURFACE = dict(zip("ARNDCQEGHILKMFPSTWYV", SURFACES))
COURSE_CHAINS = "1M40_A 2CE2_A 1A3A_B 2VB1_A 5NVG_A 3FIL_A 1QYS_A 4PSS_A 2WUR_A".split()
STRUCTURE_DB = "usr/share/promod3/loop_data/structure_db.dat"
STUDER = (
    "Studer G, Tauriello G, Bienert S, Biasini M, Johner N, Schwede T (2021) ProMod3, a versatile homology modelling "
    "toolbox. PLoS Computational Biology 17:e1008667; chains from the Protein Data Bank"
)
PROFILE_ORDER = [sorted(COLUMNS).index(a) for a in COLUMNS]  # the source's columns are alphabetical


@functools.cache
def structure_db(packages):
    """The open database."""
    return StructureDB(packages.member("promod3-data", STRUCTURE_DB))


def is_sound(chain) -> bool:
    """No break in the backbone, usual bond lengths, and a profile that knows more than the sequence itself."""
    n, ca, c, o = (chain["xyz"][:, i] for i in range(4))
    step, bond, carbonyl = (np.linalg.norm(x, axis=1) for x in (np.diff(ca, axis=0), n[1:] - c[:-1], o - c))
    usual = (
        abs(np.median(step) - 3.8) < 0.03 and np.abs(bond - 1.33).max() < 0.1 and np.abs(carbonyl - 1.23).max() < 0.1
    )
    # neighbouring CA of a cis bond are 2.9 Å apart; a profile of ones and zeros means that no homologs were found
    return bool(usual and step.min() > 2.7 and step.max() < 4.2 and chain["profile"].max(1).mean() < 0.95)


def fold_class(ss: str) -> str:
    """Mostly helix, mostly strand, or both."""
    helix, strand = (sum(ss.count(letter) for letter in letters) / len(ss) for letters in ("HGI", "EB"))
    if helix + strand < 0.25:
        return "few"
    return "helix" if strand < 0.1 else "strand" if helix < 0.15 else "both"


@functools.cache
def structure_clusters(packages) -> dict[str, int]:
    """The family of each usable chain."""
    db = structure_db(packages)
    usable = {}
    for i, (name, _, length, *_) in enumerate(db.chains):
        fits = 50 <= length <= 250 or name in COURSE_CHAINS
        if not fits or not STANDARD.issuperset(db.sequence(i)):
            continue
        chain = db[i]
        if name in COURSE_CHAINS or (is_sound(chain) and fold_class(chain["ss"]) != "few"):
            usable[name] = chain["sequence"]
    return families(usable)


@functools.cache
def structure_split(packages) -> dict[str, list[str]]:
    """One chain per family for each set; helix, strand and mixed folds in turn."""
    db, cluster_of = structure_db(packages), structure_clusters(packages)
    taken = {cluster_of[name] for name in COURSE_CHAINS}
    free = defaultdict(list)
    for name in shuffled(cluster_of):
        if cluster_of[name] not in taken:
            taken.add(cluster_of[name])
            free[fold_class(db[db.index[name]]["ss"])].append(name)
    sets = {"chains_test": list(COURSE_CHAINS)}
    for part, size in (
        ("chains_test", 60),
        ("chains_train", 60),
        ("secondary_structure_test", 120),
        ("secondary_structure_train", 480),
    ):
        chosen = sets.setdefault(part, [])
        while len(chosen) < size:
            for kind in ("helix", "strand", "both"):
                if len(chosen) < size:
                    chosen.append(free[kind].pop(0))
    return sets


def structure_set(packages, part: str, coordinates: bool):
    """The arrays of one set, residues of all chains one after the other, and its counts."""
    db, cluster_of, names = (
        structure_db(packages),
        structure_clusters(packages),
        sorted(structure_split(packages)[part]),
    )
    chains = [db[db.index[name]] for name in names]
    letters = "".join(c["sequence"] for c in chains)
    sasa = np.concatenate([c["sasa"] for c in chains])
    arrays = {
        "id": np.array(names),
        "sequence": np.array([c["sequence"] for c in chains]),
        "start": np.array([c["start"] for c in chains], np.int32),
        "cluster": np.array([cluster_of[name] for name in names], np.int32),
        "offset": np.cumsum([0, *(len(c["sequence"]) for c in chains)], dtype=np.int32),
        "ss": np.array(list("".join(c["ss"] for c in chains))),
        "sasa": sasa.astype(np.float32),
        "rsa": np.round(sasa / [LARGEST_SURFACE[a] for a in letters], 3).astype(np.float32),
        "phi_psi": np.concatenate([c["phi_psi"] for c in chains]).astype(np.float32),
        "profile": np.concatenate([c["profile"] for c in chains])[:, PROFILE_ORDER].astype(np.float16),
    }
    if coordinates:
        arrays["xyz"] = np.round(np.concatenate([c["xyz"] for c in chains]), 2).astype(np.float32)
    kinds = Counter(fold_class(c["ss"]) for c in chains)
    facts = {
        "chains": len(names),
        "residues": f"{len(letters):,}",
        "families": f"{len(set(structure_clusters(packages).values())):,}",
        "usable": f"{len(structure_clusters(packages)):,}",
        "helix": kinds["helix"],
        "strand": kinds["strand"],
        "both": kinds["both"],
    }
    return npz(arrays), len(names), facts


@dataset("chains_train", "structures/chains_train.npz", "promod3-data", STRUCTURE_DB, PROMOD, STUDER, "chains")
def chains_train(packages):
    """Sixty protein chains with backbone coordinates, DSSP labels, surface, torsions and profiles, for contact heads.

    {usable} chains of 50-250 standard residues without a break in the backbone, with usual bond lengths, at least a
    quarter helix or strand, and a profile made from homologs, in {families} families (30 % identity over 80 % of both
    by MMseqs2, joined where a search finds e < 1e-3). One chain per family, none from a family of any other structure
    set; in the order of the sha256 of their names, folds in turn: {helix} mostly helix, {strand} mostly strand,
    {both} both. {residues} residues. sasa in Å²; rsa = sasa / largest surface (Tien et al. 2013, theoretical); phi,
    psi in radians; profile columns LAGVSERTIDPKQNFYMHWC; xyz N, CA, C, O in Å.
    """
    return structure_set(packages, "chains_train", True)


@dataset("chains_test", "structures/chains_test.npz", "promod3-data", STRUCTURE_DB, PROMOD, STUDER, "chains")
def chains_test(packages):
    """Sixty protein chains like chains_train, from other families, to test on; nine are proteins of the course.

    Chosen like chains_train, after the course's proteins: 1M40_A TEM-1 (263 residues, longer than the rest; M182T),
    2CE2_A H-Ras, 1A3A_B PTS IIA, 2VB1_A lysozyme, 5NVG_A ubiquitin, 3FIL_A a variant of GB1, 1QYS_A Top7 (designed),
    4PSS_A dihydrofolate reductase, 2WUR_A GFP (only residues 66-229 after the chromophore). {helix} mostly helix,
    {strand} mostly strand, {both} both. {residues} residues.
    """
    return structure_set(packages, "chains_test", True)


@dataset(
    "secondary_structure_train",
    "structures/secondary_structure_train.npz",
    "promod3-data",
    STRUCTURE_DB,
    PROMOD,
    STUDER,
    "chains",
)
def secondary_structure_train(packages):
    """Protein chains with 8-state DSSP labels, surface, torsions and profiles (no coordinates), for classifiers.

    Chosen like chains_train, one chain per family and none from a family of any other structure set. {chains} chains,
    {residues} residues; {helix} mostly helix, {strand} mostly strand, {both} both.
    """
    return structure_set(packages, "secondary_structure_train", False)


@dataset(
    "secondary_structure_test",
    "structures/secondary_structure_test.npz",
    "promod3-data",
    STRUCTURE_DB,
    PROMOD,
    STUDER,
    "chains",
)
def secondary_structure_test(packages):
    """Protein chains like secondary_structure_train, from other families, to test on.

    Chosen like chains_train, one chain per family and none from a family of any other structure set. {chains} chains,
    {residues} residues; {helix} mostly helix, {strand} mostly strand, {both} both.
    """
    return structure_set(packages, "secondary_structure_test", False)


@dataset(
    "1ubq",
    "structures/1ubq.pdb",
    "freesasa",
    "usr/share/freesasa/test-data/1ubq.pdb",
    PDB,
    "Vijay-Kumar S, Bugg CE, Cook WJ (1987) Structure of ubiquitin refined at 1.8 Å resolution. J Mol Biol 194:531-544",
    "residues",
)
def ubiquitin(packages):
    """Human ubiquitin, all heavy atoms and waters, X-ray at 1.8 Å (PDB 1UBQ).

    The file as the package has it.
    """
    return pdb_file(packages, "1ubq")


@dataset(
    "1hel",
    "structures/1hel.pdb",
    "r-cran-bio3d",
    "usr/lib/R/site-library/bio3d/examples/1hel.pdb",
    PDB,
    "Wilson KP, Malcolm BA, Matthews BW (1992) Structural and thermodynamic analysis of compensating mutations within "
    "the core of chicken egg white lysozyme. J Biol Chem 267:10842-10849",
    "residues",
)
def lysozyme(packages):
    """Hen egg-white lysozyme, all heavy atoms, X-ray at 1.7 Å (PDB 1HEL).

    The file as the package has it.
    """
    return pdb_file(packages, "1hel")


def pdb_file(packages, name):
    """A structure file as it is, and its number of residues."""
    content = packages.member(BUILDERS[name]["package"], BUILDERS[name]["inside"]).read_bytes()
    residues = sum(line.startswith(b"ATOM") and line[12:16] == b" CA " for line in content.splitlines())
    return content, residues, {}
