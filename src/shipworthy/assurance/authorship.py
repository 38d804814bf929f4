"""Who and what made this, and may it be used? Every source needs an owner and a licence that is known."""

from __future__ import annotations

from typing import Literal

from shipworthy.core.evidence import Finding, say
from shipworthy.core.found import Catalogue, Listed
from shipworthy.core.project import Project, Source, source_of
from shipworthy.errors import nearest
from shipworthy.marks import check

Use = Literal["open", "attribution", "own", "share-alike", "not-commercial", "closed"]

# What a licence asks of a model trained on the data. Short SPDX names where there is one, else words people write.
LICENCES: dict[str, Use] = {
    "cc0-1.0": "open", "pddl-1.0": "open", "unlicense": "open", "public domain": "open", "us-government": "open",
    "cc-by-4.0": "attribution", "cc-by-3.0": "attribution", "cc-by-2.0": "attribution", "odc-by-1.0": "attribution",
    "mit": "attribution", "mit-0": "open", "apache-2.0": "attribution", "bsd-2-clause": "attribution",
    "bsd-3-clause": "attribution", "isc": "attribution", "ogl-uk-3.0": "attribution", "ogl-uk-2.0": "attribution",
    "etalab-2.0": "attribution", "dl-de-by-2.0": "attribution", "dl-de-zero-2.0": "open", "cdla-permissive-2.0": "open",
    "cdla-permissive-1.0": "attribution",
    "cc-by-sa-4.0": "share-alike", "cc-by-sa-3.0": "share-alike", "odbl-1.0": "share-alike",
    "cdla-sharing-1.0": "share-alike", "gpl-2.0": "share-alike", "gpl-3.0": "share-alike",
    "gpl-2.0-or-later": "share-alike",
    "gpl-3.0-or-later": "share-alike", "agpl-3.0": "share-alike",
    "cc-by-nc-4.0": "not-commercial", "cc-by-nc-sa-4.0": "not-commercial", "cc-by-nc-nd-4.0": "closed",
    "cc-by-nd-4.0": "closed",
    "own": "own", "proprietary": "own", "internal": "own", "in-house": "own", "company": "own",
}
SPELT = {"cc0": "cc0-1.0", "cc-0": "cc0-1.0", "cc by 4.0": "cc-by-4.0", "cc-by": "cc-by-4.0", "apache": "apache-2.0",
         "public-domain": "public domain", "odbl": "odbl-1.0", "pddl": "pddl-1.0", "bsd": "bsd-3-clause"}


@check("licences", row="ethics.authorship")
def licences(project: Project, catalogue: Catalogue, *, accept: tuple[str, ...] = (),
             share_alike: bool = True) -> Finding:
    """Whether every source behind the training table has an owner and a licence under which a model may be made.

    Declared in the project file or found by the catalogue. accept: further licence names that someone has read and
    cleared. share_alike: whether the release may be passed on under the same terms; if not, such licences fail.
    Not legal advice: it says that a known licence is named, not that its terms are kept.
    """
    sources = _sources(project, catalogue)
    if not sources:
        return say("fail", "No source is declared or catalogued, so nobody can say what the model was made from.",
                   value=0.0, n=0, remedy='declare it: [[source]] address = "…", owner = "…", licence = "CC-BY-4.0"')
    problems = [(name, problem) for name, owner, licence in sources
                for problem in _problems(owner, licence, accept, share_alike)]
    if problems:
        told = "; ".join(f"{name} {problem}" for name, problem in problems[:5])
        named = list(dict.fromkeys(name for name, _ in problems))
        return say("fail", f"{len(named)} of {len(sources)} sources may not be used as they "
                   f"stand: {told}.", value=float(len(problems)), limit=0.0, n=len(sources),
                   counterexample={"sources": dict(problems)},
                   remedy=f"in shipworthy.toml, give the [[source]] of {', '.join(named)} an owner and a licence")
    uses = sorted({_known(licence, accept) or "accepted" for _, _, licence in sources})
    return say("pass", f"All {len(sources)} sources have an owner and a known licence ({', '.join(uses)}).", value=0.0,
               limit=0.0, n=len(sources))


def _sources(project: Project, catalogue: Catalogue) -> list[tuple[str, str, str]]:
    """(name, owner, licence) of every table that a training column traces to, else of every declared source."""
    used = set(catalogue.trace.values()) or {table.name for table in catalogue.tables}
    listed = [table for table in catalogue.tables if table.name in used]
    found = [(table.name, *_pair(table, project.source)) for table in listed]
    known = {name for name, _, _ in found}
    untraced = [(name, "", "") for name in sorted(used - known)]
    return [*found, *untraced] or [(source.called, source.owner, source.licence) for source in project.source]


def _pair(table: Listed, sources: tuple[Source, ...]) -> tuple[str, str]:
    source = source_of(sources, table.name, table.address)
    return (table.owner or (source.owner if source else ""), table.licence or (source.licence if source else ""))


def _problems(owner: str, licence: str, accept: tuple[str, ...], share_alike: bool) -> list[str]:
    found = [] if owner.strip() else ["has no owner"]
    if not licence.strip():
        return [*found, "has no licence"]
    use = _known(licence, accept)
    if use is None:
        hint = nearest(licence, LICENCES)
        return [*found, f'has the unknown licence "{licence}"{f" ({hint})" if hint else ""}']
    if use == "closed":
        return [*found, f"allows no derived work ({licence})"]
    if use == "not-commercial":
        return [*found, f"allows no commercial use ({licence})"]
    if use == "share-alike" and not share_alike:
        return [*found, f"asks for the same terms ({licence})"]
    return found


def _known(licence: str, accept: tuple[str, ...]) -> str | None:
    word = " ".join(licence.casefold().split())
    if word in {" ".join(one.casefold().split()) for one in accept}:
        return "accepted"
    return LICENCES.get(SPELT.get(word, word)) or LICENCES.get(word.replace(" ", "-"))
