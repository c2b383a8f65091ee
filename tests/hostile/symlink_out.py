"""Links to files that are no notebooks: the machine's own, one without end, and one in a circle."""
from hostile import earns

EARNS = earns()


def make(folder):
    (folder / "03_embeddings.ipynb").symlink_to("/dev/zero")
    (folder / "01_masked_language_modeling.ipynb").symlink_to("/etc/passwd")
    (folder / "02_esm2_architecture.ipynb").symlink_to("02_esm2_architecture.ipynb")
    (folder / "everything").symlink_to("/", target_is_directory=True)
