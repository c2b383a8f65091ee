"""Answers that a class of students might hand in: ``wrong_<function>__<mistake>`` and ``right_<function>__<style>``.

The line "message:" in a docstring holds words that the check must say about this mistake.
"""
