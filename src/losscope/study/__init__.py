"""What the commands do, as functions: compare, judge, report, and the lists."""

from losscope.study.comparing import (
    DEFAULT_OUT,
    Plan,
    Result,
    compare,
    dry_run,
    plan,
    report,
    run,
)
from losscope.study.judging import judge
from losscope.study.listing import items

__all__ = ["DEFAULT_OUT", "Plan", "Result", "compare", "dry_run", "items", "judge", "plan", "report", "run"]
