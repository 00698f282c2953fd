"""Runtimes: one language each, run in the sandbox. Owns compiling, running and judging answers; knows no suite."""
