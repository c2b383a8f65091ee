"""Grading: course directories for nbgrader, and marks that an instructor can trust."""
