"""Structures on the page: what the picture shows, what is refused, and what a notebook displays."""
import importlib.metadata
import importlib.util
import io
import os
import subprocess
import sys

import matplotlib
import nbformat
import numpy as np
import pytest
from build_notebooks import clean_outputs
from nbclient import NotebookClient

matplotlib.use("agg")

import plmcourse as pc
from plmcourse import ribbons, structures, views

ATOMS = pc.datasets.load("1ubq")
CA = structures.ca_coordinates(ATOMS)
CHAIN = pc.datasets.chains("chains_test")[0]
TURN = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
FIND = importlib.util.find_spec


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close("all")


def pixels(figure):
    file = io.BytesIO()
    figure.savefig(file, dpi=60, format="png")
    return matplotlib.pyplot.imread(io.BytesIO(file.getvalue()))[..., :3]


def words(figure):
    """All text of a figure."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def confident(scale=1.0):
    atoms = ATOMS.copy()
    atoms.b_factor = np.clip(100 - 1.6 * atoms.b_factor, 20, 99) * scale
    return atoms


# --- the picture ---

@pytest.mark.parametrize("structure", [ATOMS, views._pdb_text(ATOMS, ATOMS.b_factor), CA, CHAIN["xyz"], CHAIN["xyz"][:, :3]],
                         ids=["AtomArray", "PDB text", "C-alpha", "four atoms", "three atoms"])
def test_every_kind_of_structure_is_drawn(structure):
    figure = pc.show(structure, "secondary structure")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert {"helix", "strand", "coil", "N", "C", "10 Å"} <= set(words(figure))
    assert (pixels(figure).std(axis=-1) > 0.1).mean() > 0.01  # coloured


def test_colours_mean_something():
    drawn = [pixels(pc.show(ATOMS, colour)) for colour in ("chain", "secondary structure")]
    drawn += [pixels(pc.show(confident(), "plddt")), pixels(pc.show(ATOMS, np.arange(76)))]
    for k, first in enumerate(drawn):
        for second in drawn[k + 1:]:
            assert first.shape != second.shape or abs(first - second).max() > 0.3
    backwards = pixels(pc.show(ATOMS, np.arange(76)[::-1]))
    assert backwards.shape == drawn[3].shape and abs(backwards - drawn[3]).mean() > 0.005


def test_bands_of_confidence_are_alphafolds():
    atoms = structures.alpha_carbons(ATOMS).copy()
    atoms.b_factor = np.resize([50, 50.5, 70, 70.5, 90, 90.5], 76)
    colouring = views._colouring(views._backbone(atoms), "plddt", None)
    assert colouring.index[:6].tolist() == [0, 1, 1, 2, 2, 3]


def test_confidence_comes_from_the_b_factors_in_either_scale():
    figure = pc.show(confident(), "plddt")
    assert {"residue", "pLDDT (0–100)", *views.BANDS} <= set(words(figure))
    heights = np.array([bar.get_height() for bar in figure.axes[1].patches])
    assert np.allclose(heights, structures.alpha_carbons(confident()).b_factor, atol=0.01)
    fraction = views._colouring(views._backbone(confident(0.01)), "plddt", None)
    assert np.allclose(fraction.values, heights, atol=0.6)  # a PDB file has two digits


def test_an_array_has_its_scale():
    figure = pc.show(CHAIN["xyz"], CHAIN["rsa"], label="accessibility (share)")
    assert words(figure).count("accessibility (share)") == 2  # at the colour bar and at the strip
    assert np.allclose([bar.get_height() for bar in figure.axes[1].patches], CHAIN["rsa"])


def test_constant_and_negative_arrays_are_drawn():
    for values in (np.zeros(76), -np.arange(76.0), np.full(76, 3)):
        figure = pc.show(ATOMS, values)
        assert np.allclose([bar.get_height() for bar in figure.axes[1].patches], values)


def test_a_picture_is_the_same_each_time_and_from_each_side():
    assert np.array_equal(pixels(pc.show(CA)), pixels(pc.show(CA)))
    assert abs(pixels(pc.show(CA)) - pixels(pc.show(CA @ TURN.T + 50))).mean() < 1e-3


def test_a_mirror_image_is_another_picture():
    assert abs(pixels(pc.show(CA))[:200, :200] - pixels(pc.show(CA * [1, 1, -1]))[:200, :200]).mean() > 1e-3
    _, turn = views.principal_axes(CA)
    assert np.isclose(np.linalg.det(turn), 1) and np.allclose(turn @ turn.T, np.eye(3))


def test_near_pieces_hide_far_ones():
    square = np.array([[[0, 0], [10, 0], [10, 10], [0, 10]]], float)
    red, blue = np.array([[1.0, 0, 0]]), np.array([[0, 0, 1.0]])
    for order in (1, -1):
        figure, ax = matplotlib.pyplot.subplots(figsize=(2, 2))
        ribbons.paint(ax, [(square, np.array([0.0]), red), (square, np.array([5.0]), blue)][::order])
        image = pixels(figure)
        assert image[60, 60].argmax() == 2


def test_all_chains_are_drawn_with_their_ends():
    second = ATOMS.copy()
    second.chain_id[:] = "B"
    second.coord = second.coord + [40, 0, 0]
    figure = pc.show(ATOMS + second)
    assert {"chain A", "chain B"} <= set(words(figure)) and words(figure).count("N") == 2


# --- two structures ---

def test_the_second_structure_is_laid_onto_the_first():
    moved = ATOMS.copy()
    moved.coord = moved.coord @ TURN.T + [30, -5, 12]
    laid = views._superposed(views._backbone(moved), views._backbone(ATOMS))
    assert np.allclose(structures.ca_coordinates(laid), CA, atol=1e-3)
    assert np.allclose(laid.coord, views._backbone(ATOMS).coord, atol=1e-3)  # all atoms go along
    assert np.allclose(moved.coord, ATOMS.coord @ TURN.T + [30, -5, 12])  # the input is left as it was
    there, away = pixels(pc.show(ATOMS, other=ATOMS)), pixels(pc.show(ATOMS, other=moved))
    assert there.shape == away.shape and abs(there - away).mean() < 1e-3
    assert "second structure" in words(pc.show(ATOMS, other=moved))


def test_the_second_structure_is_grey():
    alone, two = pc.show(CA, "secondary structure"), pc.show(CA, "secondary structure", other=CA + np.sin(CA) * 3)
    grey = [(np.ptp(image, axis=-1) < 0.02) & (image.mean(-1) > 0.5) & (image.mean(-1) < 0.9) for image in map(pixels, (alone, two))]
    assert grey[1].mean() > 2 * grey[0].mean()


# --- what is refused ---

@pytest.mark.parametrize(("arguments", "sentence"), [
    ({"other": CA[:-1]}, "the structures have 76 and 75 residues"),
    ({"colour": "rainbow"}, "colour is 'rainbow': it is 'chain', 'secondary structure', 'plddt' or one number per residue"),
    ({"colour": np.zeros(75)}, r"colour has shape \[75\]: one number for each of the 76 residues"),
    ({"colour": np.zeros((76, 2))}, r"colour has shape \[76, 2\]"),
    ({"colour": np.r_[np.zeros(9), np.nan, np.zeros(66)]}, "no finite number for residue 10 of 76"),
    ({"structure": CA, "colour": "plddt"}, "reads B-factors, and this structure has none"),
    ({"structure": CA[:3]}, "has 3 residues: a picture needs at least four"),
    ({"structure": np.zeros((5, 2))}, r"not \[5, 2\]"),
])
def test_bad_input_gets_one_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        pc.show(**{"structure": ATOMS} | arguments)
    assert "\n" not in str(error.value)


# --- 3D ---

def without(*names):
    return lambda name, *rest: None if name in names else FIND(name, *rest)


@pytest.fixture
def displayed(monkeypatch):
    """What show() displays in a notebook."""
    import IPython.display

    found = []
    monkeypatch.setattr(views, "_in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda thing, *_, **__: found.append(thing))
    return found


def test_picture_and_view_are_displayed(displayed):
    assert pc.show(ATOMS) is None
    assert [type(thing).__name__ for thing in displayed] == ["Figure", "NGLWidget"]
    assert matplotlib.pyplot.get_fignums() == []  # or the figure would come twice


def test_the_picture_alone_where_there_is_no_viewer(displayed, monkeypatch, capfd):
    monkeypatch.setattr(importlib.util, "find_spec", without("nglview", "py3Dmol"))
    pc.show(ATOMS)
    assert [type(thing).__name__ for thing in displayed] == ["Figure"]
    out, err = capfd.readouterr()
    assert out == f"For a 3D view that can be turned: {views.INSTALL}\n" and err == ""


def test_py3dmol_stands_in(displayed, monkeypatch):
    import py3Dmol

    shown = []
    monkeypatch.setattr(importlib.util, "find_spec", without("nglview"))
    monkeypatch.setattr(py3Dmol.view, "show", lambda view: shown.append(view._make_html()))
    pc.show(ATOMS, "secondary structure", other=CA)
    assert [type(thing).__name__ for thing in displayed] == ["Figure"]
    assert shown[0].count("addModel") == 2 and views.STATES["a"][1] in shown[0] and views.PALE in shown[0]


def test_the_broken_nglview_is_refused(displayed, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", without("py3Dmol"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.0.1")
    pc.show(ATOMS)
    assert [type(thing).__name__ for thing in displayed] == ["Figure"]
    assert capsys.readouterr().out.startswith("nglview 4.0.1 stays blank in JupyterLab 4.6 and on Colab")


def test_colours_in_3d_are_those_of_the_picture(displayed, monkeypatch):
    drawn = []
    monkeypatch.setattr(views, "_nglview", drawn.extend)
    pc.show(confident(), "plddt")
    (text, shape, palette, _), = drawn
    atoms = structures.read_pdb(text)
    wanted = views._colouring(views._backbone(confident()), "plddt", None)
    assert shape == "cartoon" and palette == wanted.palette
    assert structures.alpha_carbons(atoms).b_factor.astype(int).tolist() == wanted.index.tolist()


def test_each_structure_gets_a_shape_that_is_drawn():
    rng = np.random.default_rng(0)
    for structure, shape in ((ATOMS, "cartoon"), (CA, "tube"), (rng.normal(size=(30, 4, 3)) * 15, "licorice")):
        assert views._shape(views._backbone(structure)) == shape
    text = views._pdb_text(views._backbone(CA), np.zeros(76))
    assert text.count("CONECT") == 75 and "CONECT   75   76" in text


# --- where it runs ---

CODE = """import sys, plmcourse as pc
figure = pc.show(pc.datasets.load("1ubq"))
print(type(figure).__name__, "nglview" in sys.modules)"""


def test_a_plain_script_gets_the_figure(tmp_path, root):
    run = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True, check=True,
                         env=os.environ | {"MPLBACKEND": "agg"})
    assert run.stdout == "Figure False\n" and run.stderr == ""


def test_a_kernel_without_browser_shows_both_once_and_says_nothing(root):
    cells = ["import plmcourse as pc\natoms = pc.datasets.load('1ubq')", "pc.show(atoms)", "pc.show(atoms)\nprint('after')"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(root)}}).execute()
    for cell in notebook.cells[1:]:
        kinds = [next(iter(set(output.get("data", {})) & {"image/png", "application/vnd.jupyter.widget-view+json"}), output.output_type)
                 for output in cell.outputs]
        assert kinds[:2] == ["image/png", "application/vnd.jupyter.widget-view+json"] and kinds.count("image/png") == 1
        cell.metadata["alt"] = "ubiquitin"
        clean_outputs(cell, "here")  # refuses stderr and memory addresses
        assert "image/png" in cell.outputs[0].data
        assert [output.output_type for output in cell.outputs[1:]] == [kind for kind in kinds if kind == "stream"]
    assert notebook.cells[2].outputs[-1].text == "after\n"
