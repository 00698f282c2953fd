"""The contracts every room of Daybreak speaks.

Owns the two resources, the arguments and results of every step, how an artifact is committed,
where bytes are stored, which errors exist and how things are named. Owns no behaviour of a step.
"""
