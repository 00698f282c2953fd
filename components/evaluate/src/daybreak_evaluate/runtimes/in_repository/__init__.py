"""A user's own repository as problems: a function's body is taken out, a model writes it, the repository's tests judge.

Owns finding such functions, the snapshot that tests run in, and the runtime. Python with pytest, Go, and JavaScript
or TypeScript with the runner that its package.json calls.
"""

LANGUAGE = "python-repository"
GO_LANGUAGE = "go-repository"
JAVASCRIPT_LANGUAGE = "javascript-repository"
"""What tasks of these kinds say as their language."""
