"""YAML 1.2 written as YAML 1.1, which is what libyaml reads.

Owns what 1.2 allows beyond (yaml.org/spec/1.2.2): a document without ``---`` behind ``...``, tabs on lines without
content, before comments and behind a dash, directives of later minor versions, and the handles of tags that a first
document declared for all (Unity's).
Pure. Lines are kept, but for a ``---`` before each bare document.
"""

from __future__ import annotations

import re

_BARE_DOCUMENT = re.compile(r"^(\.\.\.[ \t]*(?:#[^\n]*)?\r?\n)(?=[^\s#%.-])", re.MULTILINE)
_BLANK_WITH_TAB = re.compile(r"^[ ]*\t[ \t]*(?=\r?$|#)", re.MULTILINE)
_TAB_BEHIND_DASH = re.compile(r"^([ ]*-)\t[ \t]*(?=[^\s#-][^:\n]*$)", re.MULTILINE)
# A reader of 1.2 reads any 1.x, if with a warning (6.8.1).
_MINOR_VERSION = re.compile(r"^(%YAML[ \t]+1)\.(?![12]\b)[0-9]+\b", re.MULTILINE)
_HANDLE = re.compile(r"(?<=[\s\[{,])!\w+!(?=\w)")


def older_yaml(text: str) -> str:
    """Return the text with what 1.2 adds written in the words of 1.1."""
    plain = _HANDLE.sub("!", _BLANK_WITH_TAB.sub("", _MINOR_VERSION.sub(r"\1.2", text)))
    return _BARE_DOCUMENT.sub(r"\1---\n", _TAB_BEHIND_DASH.sub(r"\1 ", plain))
