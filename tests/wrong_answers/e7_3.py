"""Exercise 7.3, read_confidence."""
import io
import re
from itertools import groupby

import numpy as np
import pandas as pd
from biotite.structure import apply_residue_wise, filter_amino_acids, get_residue_starts
from biotite.structure.io.pdb import PDBFile


def first_model(text):
    """The lines of the atoms up to the end of the first model."""
    for line in text.splitlines():
        if line.startswith("ENDMDL"):
            return
        if line.startswith(("ATOM", "HETATM")):
            yield line


def alphas(lines):
    """Those of C-alpha atoms: in a PDB file, calcium is one column further left."""
    return [line for line in lines if line[12:16] == " CA "]


def where(line):
    """Chain, number and insertion code."""
    return line[21:27]


def b_factor(line):
    return float(line[60:66])


def scaled(values):
    """On the scale to 100; a ValueError for none, or for others than confidences."""
    values = np.array(values, float)
    if len(values) == 0:
        raise ValueError("no C-alpha atom")
    if values.min() < 0 or values.max() > 100:
        raise ValueError(f"a confidence lies between 0 and 100, not {values.min()} to {values.max()}")
    return 100 * values if values.max() <= 1 else values


def structure(text):
    return PDBFile.read(io.StringIO(text)).get_structure(model=1, extra_fields=["b_factor", "occupancy"])


def confidences(text):
    """The right ones, by columns."""
    first = {}
    for line in alphas(first_model(text)):
        first.setdefault(where(line), b_factor(line))
    return scaled(list(first.values()))


def wrong_read_confidence__never_scaled(pdb_text):
    """Returns what the file says: 0 to 1 from transformers.

    message: 0 to 1
    message: scale
    message: 100
    """
    return np.array([b_factor(line) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__always_scaled(pdb_text):
    """Multiplies by 100 in any case: AlphaFold's files run to 10,000.

    message: scale
    message: 100
    """
    return 100 * np.array([b_factor(line) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__to_one(pdb_text):
    """Returns 0 to 1.

    message: scale
    message: 100
    """
    return confidences(pdb_text) / 100


def wrong_read_confidence__scaled_by_the_maximum(pdb_text):
    """Divides by the largest value: the best residue always gets 100.

    message: maximum
    message: largest
    message: scale
    """
    values = confidences(pdb_text)
    return 100 * values / max(values.max(), 1e-9)


def wrong_read_confidence__min_max(pdb_text):
    """Stretches the values from 0 to 100.

    message: smallest
    message: minimum
    message: largest
    message: scale
    """
    values = confidences(pdb_text)
    return 100 * (values - values.min()) / max(np.ptp(values), 1e-9)


def wrong_read_confidence__each_value_for_itself(pdb_text):
    """Multiplies each value up to 1 by 100, also in a file that goes to 100.

    message: scale
    message: whole file
    message: each value
    """
    confidences(pdb_text)
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return np.where(values <= 1, 100 * values, values)


def wrong_read_confidence__scale_from_the_first(pdb_text):
    """The first residue decides on the scale: a poor start of 0.9 of 100 turns all round.

    message: scale
    message: first
    message: whole file
    """
    confidences(pdb_text)
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return 100 * values if values[0] <= 1 else values


def wrong_read_confidence__scale_from_the_lowest(pdb_text):
    """The smallest value decides on the scale.

    message: scale
    message: smallest
    message: whole file
    """
    confidences(pdb_text)
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return 100 * values if values.min() <= 1 else values


def wrong_read_confidence__below_one_strictly(pdb_text):
    """`< 1`: a file with a perfect 1.00 is taken for the scale to 100.

    message: exactly 1
    message: 1.00
    message: scale
    message: value above 1
    """
    confidences(pdb_text)
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return 100 * values if values.max() < 1 else values


def wrong_read_confidence__up_to_ten(pdb_text):
    """Takes all values below 10 for the scale to 1: a hopeless model of 3 of 100 gets 300.

    message: scale
    message: value above 1
    message: 100
    """
    confidences(pdb_text)
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return 100 * values if values.max() < 10 else values


def wrong_read_confidence__rounds(pdb_text):
    """Rounds to whole numbers.

    message: round
    message: int
    message: whole number
    message: differ
    """
    return confidences(pdb_text).round()


def wrong_read_confidence__per_atom(pdb_text):
    """One value per atom.

    message: atom
    """
    return scaled([b_factor(line) for line in first_model(pdb_text)])


def wrong_read_confidence__mean_over_atoms(pdb_text):
    """The mean over the atoms of a residue.

    message: C-alpha
    message: Cα
    message: mean
    """
    atoms = structure(pdb_text)
    atoms = atoms[filter_amino_acids(atoms)]
    return scaled(apply_residue_wise(atoms, atoms.b_factor, np.mean))


def wrong_read_confidence__best_atom(pdb_text):
    """The largest value of a residue.

    message: C-alpha
    message: Cα
    """
    atoms = structure(pdb_text)
    atoms = atoms[filter_amino_acids(atoms)]
    return scaled(apply_residue_wise(atoms, atoms.b_factor, np.max))


def wrong_read_confidence__first_atom(pdb_text):
    """The first atom of a residue, which is N.

    message: C-alpha
    message: Cα
    """
    atoms = structure(pdb_text)
    atoms = atoms[filter_amino_acids(atoms)]
    return scaled(atoms.b_factor[get_residue_starts(atoms)])


def wrong_read_confidence__carbonyl(pdb_text):
    """The carbonyl's C.

    message: C-alpha
    message: Cα
    """
    return scaled([b_factor(line) for line in first_model(pdb_text) if line[12:16] == " C  "])


def wrong_read_confidence__all_carbons_alike(pdb_text):
    """Atoms whose name begins with C: CA, C, CB, CG …

    message: C-alpha
    message: Cα
    message: atom
    """
    return scaled([b_factor(line) for line in first_model(pdb_text) if line[12:16].strip().startswith("C")])


def wrong_read_confidence__occupancy(pdb_text):
    """The column before, which is the occupancy: 1.00 everywhere.

    message: occupancy
    message: column
    """
    return scaled([float(line[54:60]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__z_coordinate(pdb_text):
    """Columns 47 to 54: z, taken to be within 0 to 100.

    message: column
    message: coordinate
    """
    return np.clip([float(line[46:54]) for line in alphas(first_model(pdb_text))], 0, 100)


def wrong_read_confidence__last_digit_lost(pdb_text):
    """Slices [60:65], as the format's columns count from 1: the last digit is gone.

    message: digit
    message: column
    message: [60:66]
    message: differ
    message: round
    """
    return scaled([float(line[60:65]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__first_digit_lost(pdb_text):
    """Slices [61:66]: 100.00 becomes 0.

    message: digit
    message: column
    message: [60:66]
    message: 100.00
    """
    return scaled([float(line[61:66]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__one_column_too_many(pdb_text):
    """Slices [59:66]: the last digit of the occupancy stops float(), or comes in.

    message: ValueError
    message: column
    message: [60:66]
    """
    return scaled([float(line[59:66]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__split(pdb_text):
    """split() at spaces: where fields touch, such as 1.00100.00, there is none.

    message: space
    message: split
    message: column
    message: IndexError
    message: ValueError
    """
    rows = [line.split() for line in first_model(pdb_text)]
    return scaled([float(row[10]) for row in rows if row[2] == "CA" and row[0] == "ATOM"])


def wrong_read_confidence__split_from_the_end(pdb_text):
    """split() counted from the end: touching numbers of residues do no harm, 1.00100.00 does.

    message: space
    message: split
    message: column
    message: ValueError
    """
    return scaled([float(line.split()[-2]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__two_digits_before_the_point(pdb_text):
    """Takes the last number with one or two digits before the point: 100.00 becomes 0.

    message: column
    message: digit
    message: 100
    """
    return scaled([float(re.findall(r"\d?\d\.\d\d", line)[-1]) for line in alphas(first_model(pdb_text))])


def wrong_read_confidence__calcium(pdb_text):
    """Any atom named CA, calcium too.

    message: calcium
    """
    return scaled([b_factor(line) for line in first_model(pdb_text) if line[12:16].strip() == "CA"])


def wrong_read_confidence__biotite_with_calcium(pdb_text):
    """biotite's atom_name == "CA" takes calcium too.

    message: calcium
    """
    atoms = structure(pdb_text)
    return scaled(atoms.b_factor[atoms.atom_name == "CA"])


def wrong_read_confidence__all_models(pdb_text):
    """Reads on behind ENDMDL: each residue several times.

    message: model
    """
    return scaled([b_factor(line) for line in alphas(pdb_text.splitlines())])


def wrong_read_confidence__last_model(pdb_text):
    """A dict by residue keeps the last model's value.

    message: model
    """
    return scaled(list({where(line): b_factor(line) for line in alphas(pdb_text.splitlines())}.values()))


def wrong_read_confidence__mean_of_models(pdb_text):
    """The mean of all models.

    message: model
    """
    models = [alphas(part.splitlines()) for part in pdb_text.split("ENDMDL")]
    values = [[b_factor(line) for line in model] for model in models if model]
    return scaled(np.mean(values, axis=0))


def wrong_read_confidence__chains_merged(pdb_text):
    """A dict by residue number: residue 1 of chain B takes the place of residue 1 of chain A.

    message: chain
    """
    return scaled(list({line[22:27]: b_factor(line) for line in alphas(first_model(pdb_text))}.values()))


def wrong_read_confidence__first_chain(pdb_text):
    """Stops at the first TER.

    message: chain
    """
    return scaled([b_factor(line) for line in alphas(first_model(pdb_text.split("\nTER")[0]))])


def wrong_read_confidence__chain_a(pdb_text):
    """Reads chain A only.

    message: chain
    """
    return scaled([b_factor(line) for line in alphas(first_model(pdb_text)) if line[21] == "A"])


def wrong_read_confidence__sorted_by_number(pdb_text):
    """Sorts by residue number, which mixes the chains.

    message: order
    message: chain
    """
    return scaled([b_factor(line) for line in sorted(alphas(first_model(pdb_text)), key=lambda line: int(line[22:26]))])


def wrong_read_confidence__by_residue_number(pdb_text):
    """Fills an array up to the last number, with zeros in the gaps.

    message: number
    message: gap
    message: shape
    message: chain
    """
    lines = alphas(first_model(pdb_text))
    values = np.zeros(max(int(line[22:26]) for line in lines))
    for line in lines:
        values[int(line[22:26]) - 1] = b_factor(line)
    return scaled(values)


def wrong_read_confidence__sorted_by_value(pdb_text):
    """Returns the values in rising order.

    message: order
    message: sort
    """
    return np.sort(confidences(pdb_text))


def wrong_read_confidence__global(pdb_text):
    """The mean of the chain.

    message: per residue
    message: each residue
    message: shape
    """
    return float(confidences(pdb_text).mean())


def wrong_read_confidence__opens_a_file(pdb_text):
    """Takes the text for a path.

    message: OSError
    message: FileNotFoundError
    message: text
    """
    with open(pdb_text, encoding="utf-8") as file:
        return confidences(file.read())


def wrong_read_confidence__empty_without_atoms(pdb_text):
    """No atoms, no values, and no complaint.

    message: no C-alpha
    message: ValueError
    """
    lines = alphas(first_model(pdb_text))
    return confidences(pdb_text) if lines else np.zeros(0)


def wrong_read_confidence__clips(pdb_text):
    """Real B-factors, which may exceed 100, are cut off and pass as confidences.

    message: above 100
    message: 0 to 100
    message: between 0 and 100
    message: outside
    message: ValueError
    """
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return scaled(np.clip(values, 0, 100))


def wrong_read_confidence__negative_values_pass(pdb_text):
    """Looks at the largest value only.

    message: negative
    message: below 0
    message: 0 to 100
    message: between 0 and 100
    message: outside
    message: ValueError
    """
    values = np.array([b_factor(line) for line in alphas(first_model(pdb_text))])
    return values if len(values) and values.min() < 0 and values.max() <= 100 else scaled(values)


def wrong_read_confidence__nothing(pdb_text):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    values = confidences(pdb_text)  # noqa: F841


def right_read_confidence__columns(pdb_text):
    return confidences(pdb_text)


def right_read_confidence__atom_lines_only(pdb_text):
    """ATOM lines of the first model: calcium is a HETATM."""
    values, seen = [], set()
    for line in pdb_text.split("ENDMDL")[0].split("\n"):
        if line[:6] == "ATOM  " and line[12:16].strip() == "CA" and line[21:27] not in seen:
            seen.add(line[21:27])
            values.append(float(line[60:66]))
    return scaled(values)


def right_read_confidence__biotite(pdb_text):
    atoms = PDBFile.read(io.StringIO(pdb_text)).get_structure(model=1, extra_fields=["b_factor"])
    return scaled(atoms.b_factor[(atoms.atom_name == "CA") & (atoms.element == "C")])


def right_read_confidence__amino_acids(pdb_text):
    """biotite's filter leaves ions out."""
    atoms = structure(pdb_text)
    atoms = atoms[filter_amino_acids(atoms) & (atoms.atom_name == "CA")]
    return scaled(atoms.b_factor)


def right_read_confidence__regular_expression(pdb_text):
    model = pdb_text.split("\nENDMDL")[0]
    found = re.findall(r"^(?:ATOM  |HETATM).{6} CA .{5}(.{6}).{33}(.{6})", model, re.MULTILINE)
    first = {}
    for place, b in found:
        first.setdefault(place, float(b))
    return scaled(list(first.values()))


def right_read_confidence__pandas(pdb_text):
    """A table of fixed columns."""
    lines = [line for line in first_model(pdb_text) if line[12:16] == " CA "]
    columns = {"place": (21, 27), "b": (60, 66)}
    table = pd.DataFrame({name: [line[a:b] for line in lines] for name, (a, b) in columns.items()})
    return scaled(table.drop_duplicates("place").b.astype(float).to_numpy())


def right_read_confidence__residue_by_residue(pdb_text):
    values = []
    for _, lines in groupby(first_model(pdb_text), key=where):
        alpha = next((line for line in lines if line[12:16] == " CA "), None)
        if alpha is not None:
            values.append(b_factor(alpha))
    return scaled(values)
