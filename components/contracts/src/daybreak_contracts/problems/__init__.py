"""Files of evaluation problems: what data decontaminates by and evaluation asks, read in one place.

Owns rows and their fields, strictly; what a format's rows mean to a suite is the evaluation's.
"""
