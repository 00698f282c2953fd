"""One report module for the x-ray, the scores and the run: typed blocks in, one self-contained HTML page out.

Needs the extra ``daybreak-contracts[report]`` (jinja2, markupsafe); nothing else in the contracts imports this package.
"""
