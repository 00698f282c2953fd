"""Sample files: answers that somebody has already, in the formats that they come in, to verdicts and scores.

Owns reading, cleaning, judging and reporting of files; knows no model.
"""
