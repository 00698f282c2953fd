"""Manifests from text to checked objects: parsing, validation, and the words for every mistake."""
