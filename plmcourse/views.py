"""Structures to look at: always a picture, and beside it a 3D view that can be turned where the notebook can show one."""
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from biotite.structure import AtomArray, annotate_sse, apply_residue_wise, spread_residue_wise
from biotite.structure.io.pdb import PDBFile
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_hex

from plmcourse import ribbons, structures

BACKBONE = ("N", "CA", "C", "O")
# AlphaFold's bands and colours, from low to high: the first at most 50, the last above 90
BANDS = {"below 50": "#ff7d45", "50 to 70": "#ffdb13", "70 to 90": "#65cbf3", "above 90": "#0053d6"}
STATES = {"a": ("helix", "#d55e00"), "b": ("strand", "#0173b2"), "c": ("coil", "#c9b79c")}
CHAINS = ("#0173b2", "#de8f05", "#029e73", "#cc78bc", "#ca9161", "#fbafe4", "#ece133", "#56b4e9")
PALE = "#bdbdbd"  # the second structure
SIZE = {"width": "720px", "height": "420px"}  # of the 3D view
INSTALL = "pip install --no-deps nglview==4.0 py3Dmol"


@dataclass(frozen=True)
class Colouring:
    """What colour each residue has, and what that means.

    Attributes
    ----------
    index : int array, shape [L]
        Place of each residue's colour in the palette.
    palette : list of str
    names : list of str or None
        What each colour of the palette stands for; None for a scale of numbers.
    values : float array, shape [L], or None
        Numbers to draw along the chain.
    label : str
    """

    index: np.ndarray
    palette: list
    names: list | None
    values: np.ndarray | None
    label: str

    @property
    def colours(self):
        return [self.palette[i] for i in self.index]


def show(structure, colour="chain", other=None, label=None):
    """Show a structure: a picture that stays in the notebook, and below it a 3D view that can be turned with the mouse.

    Parameters
    ----------
    structure : biotite AtomArray, str, or array of shape [L, 3] or [L, >= 3, 3]
        All atoms, the text of a PDB file, C-alpha atoms, or N, CA, C (and O) of each residue, in Å.
    colour : {"chain", "secondary structure", "plddt"} or array of shape [L]
        "plddt" takes B-factors for a confidence, see :func:`plmcourse.structures.read_confidence`. Secondary structure is
        read from the C-alpha atoms. An array holds one number per residue.
    other : as ``structure``, optional
        A second structure with as many residues; it is laid onto the first and drawn in grey.
    label : str, optional
        What the numbers are, with their unit.

    Returns
    -------
    matplotlib.figure.Figure or None
        None in a notebook, where everything is displayed at once. The 3D view needs nglview 4.0 or py3Dmol.

    Raises
    ------
    ValueError
        If there are fewer than four residues, ``other`` has another length, or the colour is none of these.
    """
    atoms = _backbone(structure)
    colouring = _colouring(atoms, colour, label)
    second = None if other is None else _superposed(_backbone(other), atoms)
    figure = picture(atoms, colouring, second)
    if not _in_notebook():
        return figure
    from IPython.display import display

    display(figure)
    plt.close(figure)  # or it would be shown again at the end of the cell
    _show_in_3d(atoms, colouring, second)


# --- what is shown ---

def _backbone(structure):
    """N, CA, C and O as an AtomArray, of residues that have a C-alpha."""
    ca = structures.ca_coordinates(structure)  # refuses what is no structure
    if len(ca) < 4:
        raise ValueError(f"the structure has {len(ca)} residues: a picture needs at least four")
    if isinstance(structure, str):
        structure = structures.read_pdb(structure)
    if hasattr(structure, "atom_name"):
        atoms = structure[np.isin(structure.atom_name, BACKBONE) & (structure.element != "CA")]
        return atoms[spread_residue_wise(atoms, apply_residue_wise(atoms, atoms.atom_name == "CA", np.any))]
    xyz = np.asarray(structure, float)
    names = BACKBONE[:xyz.shape[1]] if xyz.ndim == 3 else ("CA",)
    xyz = xyz[:, :len(names)] if xyz.ndim == 3 else xyz[:, None]
    atoms = AtomArray(len(ca) * len(names))
    atoms.coord = xyz.reshape(-1, 3)
    atoms.atom_name = np.tile(names, len(ca))
    atoms.element = np.array([name[0] for name in atoms.atom_name])
    atoms.chain_id[:], atoms.res_name[:] = "A", "ALA"
    atoms.res_id = np.repeat(np.arange(len(ca)) + 1, len(names))
    return atoms


def _superposed(mobile, target):
    """A copy of the second structure, laid onto the first."""
    moving, fixed = structures.ca_coordinates(mobile), structures.ca_coordinates(target)
    if len(moving) != len(fixed):
        raise ValueError(f"the structures have {len(fixed)} and {len(moving)} residues: only the same number can be superposed")
    rotation, translation = structures.kabsch(moving, fixed)
    moved = mobile.copy()
    moved.coord = moved.coord @ rotation.T + translation
    return moved


def secondary_structure(atoms):
    """One letter per residue of an AtomArray, array [L]: a for helix, b for strand, c for the rest, from its C-alpha atoms."""
    ca = structures.alpha_carbons(atoms)
    return np.concatenate([annotate_sse(ca[ca.chain_id == chain]) for chain in dict.fromkeys(ca.chain_id)])


def _colouring(atoms, colour, label):
    ca = structures.alpha_carbons(atoms)
    if not isinstance(colour, str):
        return _numbers(colour, len(ca), label)
    if colour == "plddt":
        return _confidence(atoms, label)
    if colour == "secondary structure":
        index = np.array(["abc".index(letter) for letter in secondary_structure(atoms)])
        names, palette = zip(*STATES.values())
        return Colouring(index, list(palette), list(names), None, label or "")
    if colour == "chain":
        chains = list(dict.fromkeys(ca.chain_id))
        palette = [CHAINS[k % len(CHAINS)] for k in range(len(chains))]
        return Colouring(np.array([chains.index(chain) for chain in ca.chain_id]), palette,
                         [f"chain {chain}" for chain in chains], None, label or "")
    raise ValueError(f"colour is {colour!r}: it is 'chain', 'secondary structure', 'plddt' or one number per residue")


def _numbers(values, length, label):
    values = np.asarray(values, float)
    if values.shape != (length,):
        raise ValueError(f"colour has shape {list(values.shape)}: one number for each of the {length} residues is needed")
    if not np.isfinite(values).all():
        raise ValueError(f"colour has no finite number for residue {int((~np.isfinite(values)).argmax()) + 1} of {length}")
    low, high = values.min(), values.max()
    index = np.rint(100 * (values - low) / (high - low or 1)).astype(int)
    return Colouring(index, [to_hex(shade) for shade in plt.get_cmap("viridis")(np.linspace(0, 1, 101))], None, values, label or "value")


def _confidence(atoms, label):
    if "b_factor" not in atoms.get_annotation_categories():
        raise ValueError("colour='plddt' reads B-factors, and this structure has none: pass PDB text, or an AtomArray with b_factor")
    values = structures.read_confidence(_pdb_text(atoms, atoms.b_factor))
    index = (values > 50).astype(int) + (values > 70) + (values > 90)
    return Colouring(index, list(BANDS.values()), list(BANDS), values, label or "pLDDT (0–100)")


# --- the picture ---

def picture(atoms, colouring, other=None):
    """The static picture: the trace, what its colours mean, and numbers along the chain where there are any. A Figure."""
    turn = principal_axes(structures.ca_coordinates(atoms))
    drawn = [ribbons.segments(atoms, secondary_structure(atoms), colouring.colours, turn)]
    if other is not None:  # as a tube, for ribbons on ribbons hide each other
        outline, depth, colour = ribbons.segments(other, np.full(len(colouring.index), "c"), [PALE] * len(colouring.index), turn)
        drawn.append((outline, depth - ribbons.THICK, colour))  # behind the first where the two coincide
    reach = np.ptp(np.concatenate([outline.reshape(-1, 2) for outline, _, _ in drawn]), axis=0) + 6
    width, strip = 7.5, 0 if colouring.values is None else 1.5
    height = np.clip(width * reach[1] / reach[0], 2.6, 4.6)
    figure, axes = plt.subplots(2 if strip else 1, figsize=(width, height + strip + 0.4), squeeze=False, layout="constrained",
                                facecolor="white", gridspec_kw={"height_ratios": [height, strip] if strip else [1]})
    ribbons.paint(axes[0, 0], drawn)
    _mark_ends(axes[0, 0], atoms, turn)
    _explain(axes[0, 0], colouring, other is not None)
    if strip:
        _strip(axes[1, 0], colouring)
    return figure


def principal_axes(ca):
    """How to lay a chain into the page: the largest extent along x, the smallest towards the viewer, the N-terminus to the left.

    Parameters
    ----------
    ca : array, shape [L, 3]

    Returns
    -------
    centre [3], rotation [3, 3] : arrays
        ``(ca - centre) @ rotation.T`` lies in the page. A proper rotation: a mirror image would show another protein.
    """
    centre = ca.mean(0)
    x, y = np.linalg.svd(ca - centre)[2][:2]
    x, y = x * (1 if (ca[0] - centre) @ x <= 0 else -1), y * (1 if (ca[0] - centre) @ y >= 0 else -1)
    return centre, np.array([x, y, np.cross(x, y)])


def _mark_ends(ax, atoms, turn):
    """The letters N and C beside the ends of each chain."""
    ca = structures.alpha_carbons(atoms)
    for chain in dict.fromkeys(ca.chain_id):
        xyz = ((ca.coord[ca.chain_id == chain] - turn[0]) @ turn[1].T)[:, :2]
        for letter, end, inner in (("N", xyz[0], xyz[2]), ("C", xyz[-1], xyz[-3])):
            out = (end - inner) / max(np.linalg.norm(end - inner), 1e-9)
            ax.text(*(end + 1.8 * out), letter, ha="center", va="center", fontsize=10, fontweight="bold", color="#202020",
                    bbox={"boxstyle": "circle,pad=0.18", "facecolor": "white", "edgecolor": "#202020", "linewidth": 0.8})


def _explain(ax, colouring, two):
    """A legend or a colour bar, and a bar of 10 Å."""
    handles = []
    if colouring.names is not None:
        handles = [plt.Rectangle((0, 0), 1, 1, color=shade) for shade in colouring.palette]
    names = list(colouring.names or [])
    if two:
        handles, names = [*handles, plt.Rectangle((0, 0), 1, 1, color=PALE)], [*names, "second structure"]
    if handles:
        ax.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(names), frameon=False, handlelength=1,
                  columnspacing=1.4, title=colouring.label if colouring.values is not None and colouring.names else None)
    if colouring.names is None:
        scale = ScalarMappable(Normalize(colouring.values.min(), colouring.values.max()), ListedColormap(colouring.palette))
        ax.figure.colorbar(scale, ax=ax, label=colouring.label, shrink=0.7, aspect=18, pad=0.01, panchor=(0.5, 0.5))
    left, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    ax.plot([left, left + 10], [bottom, bottom], color="#404040", linewidth=2, solid_capstyle="butt")
    ax.text(left + 5, bottom + 0.6, "10 Å", ha="center", va="bottom", fontsize=9.5, color="#404040")


def _strip(ax, colouring):
    """The numbers along the chain, in the colours of the trace."""
    residues = np.arange(len(colouring.values)) + 1
    ax.bar(residues, colouring.values, width=1, color=colouring.colours, linewidth=0)
    ax.set(xlim=(0.5, len(residues) + 0.5), xlabel="residue", ylabel=colouring.label)
    if colouring.names:
        ax.set(ylim=(0, 100), yticks=(0, 50, 70, 90))


# --- the 3D view ---

def _pdb_text(atoms, values):
    """A PDB file of the structure with the values (one for each atom) as B-factors, and bonds where all atoms are C-alpha."""
    atoms = atoms.copy()
    atoms.set_annotation("b_factor", np.asarray(values, float))
    file = PDBFile()
    file.set_structure(atoms)
    bonds = np.flatnonzero((atoms.atom_name[1:] == "CA") & (atoms.atom_name[:-1] == "CA") & (atoms.chain_id[1:] == atoms.chain_id[:-1])) + 1
    return str(file) + "".join(f"\nCONECT{first:5d}{first + 1:5d}" for first in bonds) + "\nEND\n"


def _in_notebook():
    """Whether a notebook's kernel runs this."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def _show_in_3d(atoms, colouring, other):
    """Display the structure with nglview, or else with py3Dmol, or say how to get them."""
    nglview = _has_nglview()
    if not nglview and not importlib.util.find_spec("py3Dmol"):
        print(f"For a 3D view that can be turned: {INSTALL}")
        return
    centre, turn = principal_axes(structures.ca_coordinates(atoms))
    turn = turn * [[-1], [1], [-1]] if nglview else turn  # NGL looks from behind: seen as in the picture
    parts = [(atoms, colouring.index, colouring.palette, 0.35)]
    if other is not None:  # C-alpha only: a thin tube
        parts.append((structures.alpha_carbons(other), 0 * colouring.index, [PALE], 0.2))
    models = []
    for part, index, palette, radius in parts:
        part = part.copy()
        part.coord = (part.coord - centre) @ turn.T
        shape = _shape(part)
        part = part if shape == "cartoon" else structures.alpha_carbons(part)
        models.append((_pdb_text(part, spread_residue_wise(part, index)), shape, palette, radius))
    (_nglview if nglview else _py3dmol)(models)


def _shape(atoms):
    """What viewers can draw: a cartoon needs a real backbone, a tube neighbours within reach; sticks always go."""
    ca = structures.alpha_carbons(atoms)
    step = np.linalg.norm(np.diff(ca.coord, axis=0), axis=1)[ca.chain_id[1:] == ca.chain_id[:-1]]
    if len(ca) < len(atoms) and 3.5 < np.median(step) < 4.1:
        return "cartoon"
    return "tube" if step.max() < 6.5 else "licorice"  # NGL joins C-alpha atoms up to 6.9 Å


def _has_nglview():
    """Whether there is an nglview that draws; the one version that does not is named."""
    if importlib.util.find_spec("nglview") is None:
        return False
    broken = importlib.metadata.version("nglview") == "4.0.1"
    if broken:
        print(f"nglview 4.0.1 stays blank in JupyterLab 4.6 and on Colab, 4.0 does not: {INSTALL}")
    return not broken


def _nglview(models):
    import nglview
    from IPython.display import display

    if "google.colab" in sys.modules:
        from google.colab import output

        output.enable_custom_widget_manager()
    view = nglview.NGLWidget(**SIZE)
    for number, (text, shape, palette, radius) in enumerate(models):
        size = {} if shape == "cartoon" else {"radius_type": "size", "radius_size": radius}
        view.add_component(nglview.TextStructure(text), default_representation=False)
        view.add_representation(shape, component=number, color_scheme="bfactor", color_domain=[0, max(1, len(palette) - 1)],
                                color_scale=palette if len(palette) > 1 else 2 * palette, **size)  # a scale has two ends
    view.center()
    if len(models) == 1:  # a second structure may reach beyond the first
        view.control.zoom(0.2)
    display(view)


def _py3dmol(models):
    """Plain HTML; its script comes from a public server when the page is shown."""
    import py3Dmol

    view = py3Dmol.view(**SIZE)
    for number, (text, shape, palette, radius) in enumerate(models):
        style = {"cartoon": ("cartoon", {}), "tube": ("cartoon", {"style": "trace", "thickness": radius}),
                 "licorice": ("stick", {"radius": radius})}[shape]
        colours = {"colorscheme": {"prop": "b", "map": dict(enumerate(palette))}}
        view.addModel(text, "pdb")
        view.setStyle({"model": number}, {style[0]: style[1] | colours})
    view.zoomTo()
    view.show()
