"""The instruments on other people's loops: ``losscope.Probe`` records, ``load_probe`` reads, a doctor speaks.

``record``, ``doctor`` and ``page`` import no torch.
"""
