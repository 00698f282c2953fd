"""The judge: runs candidates in processes that cannot reach the tests, the verdict or the machine.

Owns sandboxing, the two-process protocol and verdicts (ADR 0005). Knows no suite and no model. Everything that
runs inside or beside the sandbox imports the standard library only, so that it starts in milliseconds.
"""
