"""Measures of embeddings and of the optimisation."""
