"""How a chain is drawn on paper: a ribbon along the C-alpha atoms, painted from back to front.

Helices are wide bands, strands flat arrows, everything else a tube, as Jane Richardson drew them by hand (1981, Advances in Protein
Chemistry 34:167). Geometry is in Å: x to the right, y up, z towards the viewer.
"""
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from scipy.interpolate import CubicSpline

from plmcourse import structures

STEPS = 10  # points of the curve per residue
WIDTH = {"a": 2.8, "b": 2.4, "c": 0.0}  # Å, of the ribbon across its direction
THICK, ARROW = 0.7, 4.0  # Å: the tube of a coil, and the widest part of a strand's arrow


def segments(atoms, states, colours, turn):
    """Ribbons of all chains of a structure in small pieces, as :func:`paint` takes them.

    Parameters
    ----------
    atoms : AtomArray with L C-alpha atoms
    states : array of str, shape [L]
        a for helix, b for strand, c for the rest.
    colours : list of str, L of them
    turn : (centre [3], rotation [3, 3])
        Turns the structure into the page.

    Returns
    -------
    outline [M, 4, 2], depth [M], colour [M, 3] : arrays
    """
    ca, found, start = structures.alpha_carbons(atoms), [], 0
    for chain in dict.fromkeys(ca.chain_id):
        xyz = (ca.coord[ca.chain_id == chain] - turn[0]) @ turn[1].T
        part = slice(start, start + len(xyz))
        found.append(_ribbon(xyz, states[part], np.array([to_rgb(colour) for colour in colours[part]])))
        start += len(xyz)
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _ribbon(xyz, states, colours):
    """One chain as pieces of a ribbon: corners in the page [M, 4, 2], depth [M], shaded colour [M, 3]."""
    at = np.linspace(0, len(xyz) - 1, (len(xyz) - 1) * STEPS + 1)
    smooth = xyz.copy()
    inner = np.flatnonzero(states[1:-1] == "b") + 1
    smooth[inner] = (xyz[inner - 1] + 2 * xyz[inner] + xyz[inner + 1]) / 4  # the pleats of a strand
    curve = CubicSpline(np.arange(len(xyz)), smooth)
    across = _directions(xyz, at)
    tangent = curve(at, 1)
    half = across * _widths(states, at)[:, None] / 2
    left = _to_the_left(tangent, half)
    centre = curve(at)
    facing = np.cross(tangent, across)
    facing *= np.sign(facing[:, 2:])  # the side that is seen
    lit = abs(facing[:, 2]) / np.maximum(np.linalg.norm(facing, axis=1), 1e-9)
    kind = np.rint(at).astype(int)
    shade = np.where(states[kind] == "c", 0.95, 0.7 + 0.3 * lit)
    inside = (states[kind] == "a") & ((facing * (centre - _axis(xyz, at))).sum(1) < 0)
    colour = colours[kind] * shade[:, None]
    colour[inside] = colour[inside] * 0.65 + 0.35
    corners = np.stack([(centre[:, :2] + left)[:-1], (centre[:, :2] + left)[1:],
                        (centre[:, :2] - left)[1:], (centre[:, :2] - left)[:-1]], axis=1)
    return corners, (centre[1:, 2] + centre[:-1, 2]) / 2, colour[:-1]


def _directions(xyz, at):
    """Which way the ribbon is wide: along the axis of a helix, and across a strand in the plane of its sheet."""
    bonds = np.diff(xyz, axis=0)
    normal = np.cross(bonds[:-1], bonds[1:])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    turns = np.where((normal[1:] * normal[:-1]).sum(1) < 0, -1, 1)
    normal[1:] *= np.cumprod(turns)[:, None]
    normal = np.pad(normal, ((2, 2), (0, 0)), mode="edge")
    normal = (normal[:-2] + normal[1:-1] + normal[2:]) / 3
    across = np.stack([np.interp(at, np.arange(len(xyz)), column) for column in normal.T], axis=1)
    return across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)


def _widths(states, at):
    """Width of the ribbon in Å at each point; a strand ends in an arrow."""
    widths = np.interp(at, np.arange(len(states)), [WIDTH[state] for state in states])
    for end in np.flatnonzero((states[:-1] == "b") & (states[1:] != "b")):
        head = (at >= end - 1) & (at <= end + 0.5)
        widths[head] = ARROW * (end + 0.5 - at[head]) / 1.5
    return widths


def _to_the_left(tangent, half):
    """From the middle to the left side in the page, seen along the chain: never thinner than a tube."""
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    half = half[:, :2]
    reach = (half * normal).sum(1, keepdims=True)
    half, reach = half * np.where(reach < 0, -1, 1), abs(reach)
    return half + np.maximum(0, THICK / 2 - reach) * normal


def _axis(xyz, at):
    """The axis of a helix: C-alpha atoms averaged over a turn."""
    padded = np.pad(xyz, ((2, 2), (0, 0)), mode="edge")
    mean = (padded[:-4] / 2 + padded[1:-3] + padded[2:-2] + padded[3:-1] + padded[4:] / 2) / 4
    return np.stack([np.interp(at, np.arange(len(xyz)), column) for column in mean.T], axis=1)


def paint(ax, drawn):
    """Paint ribbons from back to front: far pieces pale and thin, near ones saturated, with a dark outline.

    Parameters
    ----------
    ax : Axes
    drawn : list of (outline [M, 4, 2], depth [M], colour [M, 3])
        Ribbons as pieces: corners in the page in Å, height above the page, colour.
    """
    outline, depth, colour = (np.concatenate(part) for part in zip(*drawn))
    near = ((depth - depth.min()) / (np.ptp(depth) or 1))[:, None]
    colour = colour * (0.5 + 0.5 * near) + 0.5 * (1 - near)
    paths, faces, edges, widths = [], [], [], []
    for k in np.argsort(depth, kind="stable"):
        corners, dark = outline[k], colour[k] * 0.35 + 0.35 * (1 - near[k])
        paths += [corners, corners[:2], corners[2:]]  # the face, then its two long sides
        faces += [colour[k], dark, dark]
        edges += [colour[k], dark, dark]
        widths += [0.6, 0.9, 0.9]
    ax.add_collection(PolyCollection(paths, facecolors=faces, edgecolors=edges, linewidths=widths, capstyle="butt", joinstyle="round"))
    ax.set_aspect("equal")
    ax.margins(0.03)
    ax.autoscale_view()
    ax.axis("off")
