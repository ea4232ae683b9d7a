"""Corpora, vocabularies, and the windows of text that models are trained on."""
