"""The notebook is a symbolic link to another student's (a neighbour's, when there is one), and so is a folder beside it."""
from hostile import earns

EARNS = earns()


def make(folder):
    others = sorted(path for path in folder.resolve().parent.glob("*/03_embeddings.ipynb") if path.parent.name != folder.name)
    target = others[0] if others else folder.parent / "victim" / "03_embeddings.ipynb"
    (folder / "03_embeddings.ipynb").symlink_to(target)
    (folder / "work").symlink_to(target.parent, target_is_directory=True)
