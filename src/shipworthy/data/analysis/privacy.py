"""Is there personal data that nobody declared?"""

from __future__ import annotations

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Profile
from shipworthy.core.project import Project
from shipworthy.marks import check


@check("undeclared-personal", row="law.legislation")
def undeclared_personal(project: Project, profile: Profile) -> Finding:
    """Every column in which the scanner finds personal data is declared in [data] personal.

    Set-aside columns count too: what is stored must be declared. Up to 1,000 distinct values a column are read.
    """
    found = [column for column in profile.columns if column.personal]
    hidden = [column for column in found if column.name not in project.data.personal]
    facts = {"value": len(hidden), "limit": 0, "n": len(profile.columns)}
    if hidden:
        said = ", ".join(f"{column.name} ({column.personal})" for column in hidden)
        names = ", ".join(f'"{name}"' for name in (*project.data.personal, *(column.name for column in hidden)))
        return say("fail", f"{len(hidden)} of {len(profile.columns)} columns hold personal data that is "
                   f"not declared: {said}.",
                   remedy=f"in [data] write personal = [{names}], and set aside what the model does not need",
                   counterexample={"columns": [[column.name, column.personal] for column in hidden]}, **facts)
    if not found and not project.data.personal and project.project.subject == "thing":
        return say("not-applicable", "The project declares no person, and the scanner finds no personal data in "
                   f"{len(profile.columns)} columns.", **facts)
    return say("pass", f"The scanner finds no undeclared personal data in {len(profile.columns)} columns; "
               f"{len(project.data.personal)} are declared.", **facts)
