"""Which regions of the input space are thin or empty among the training rows?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.learned import Parts
from shipworthy.data.augmentation.coverage import holes, thin
from shipworthy.marks import check

LEAST = 400


@check("thin-slices", row="data.variance")
def thin_slices(parts: Parts, *, least: int = 50) -> Finding:
    """No combination of two features is empty that chance would fill; slices under `least` rows are named.

    Pairs of features that go together are left out; false discoveries are held to 5 %.
    """
    table = parts.learn
    if table.rows < LEAST:
        return say("unknown", f"{table.rows} training rows are too few to tell a hole from chance; {LEAST} are needed.",
                   n=table.rows)
    empty, few = holes(table), thin(table, least=least)
    slices = (f" Slices under {least} rows: {_few([f'{name} ({rows})' for name, rows in few])}." if few
              else (f" No slice has fewer than {least} rows."))
    facts = {"value": len(empty), "limit": 0, "n": table.rows}
    if empty:
        hole = empty[0]
        return say("fail", f"{len(empty)} region{'s' * (len(empty) != 1)} of the input space "
                   f"hold{'s' * (len(empty) == 1)} no training row of {table.rows:,}: {hole.condition}, where "
                   f"{hole.expected:.0f} are to be expected.{slices}",
                   remedy="collect rows there, or do not ask the model there: it answers all the same",
                   counterexample={"holes": [each.condition for each in empty[:10]], "thin": few[:10]}, **facts)
    return say("pass", f"No region of two features is empty that chance would fill, among {table.rows:,} training "
               f"rows.{slices}", counterexample={"thin": [list(each) for each in few[:10]]} if few else {}, **facts)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
