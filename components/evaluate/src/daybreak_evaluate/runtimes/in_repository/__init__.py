"""A user's own repository as problems: a function's body is taken out, a model writes it, the repository's tests judge.

Owns finding such functions, the snapshot that tests run in, and the runtime. Python so far.
"""

LANGUAGE = "python-repository"
"""What tasks of this kind say as their language."""
