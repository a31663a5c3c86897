"""Sentences for a person: each is said once by a command, whichever of its parts has it to say."""

from __future__ import annotations

from collections.abc import Callable


class Once:
    """A ``say`` that passes each sentence on once; a full stop at its end makes no other sentence of it.

    >>> heard: list[str] = []
    >>> say = Once(heard.append)
    >>> say("three rows are zero"), say("three rows are zero."), say.knows("three rows are zero")
    (None, None, True)
    >>> heard
    ['three rows are zero']
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._said: set[str] = set()

    def __call__(self, sentence: str) -> None:
        if not self.knows(sentence):
            self._said.add(_key(sentence))
            self._say(sentence)

    def knows(self, sentence: str) -> bool:
        """Whether the sentence was said."""
        return _key(sentence) in self._said


def _key(sentence: str) -> str:
    return sentence.strip().removesuffix(".")
