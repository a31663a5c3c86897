"""The sections of the page, one file each: a function under ``@register("section", name, order=…)``."""
