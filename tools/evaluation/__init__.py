"""The four measurements of ``tools/evaluate.py``, and the card that is written from their figures."""
