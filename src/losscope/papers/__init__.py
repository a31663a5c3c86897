"""Papers as data, and one engine that runs any of them.

A paper is one file: a function under ``@register("paper", name)`` that returns a
``losscope.papers.paper.Paper``.
"""

MEASUREMENTS = {"aa": "losscope.papers.aa"}
"""What ``losscope reproduce`` measures beside the papers: name -> the module whose ``measure`` does it."""
SHORTCUTS = "shortcuts"
"""What ``losscope.papers.shortcuts`` measures, with options of its own."""
