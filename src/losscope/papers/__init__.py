"""Papers as data, and one engine that runs any of them.

A paper is one file: a function under ``@register("paper", name)`` that returns a
``losscope.papers.paper.Paper``.
"""
