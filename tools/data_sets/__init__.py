"""How each file of ``data/`` is made; ``tools/build_data.py`` runs it."""
