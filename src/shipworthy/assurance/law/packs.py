"""Rule packs read from files: those of this package by id, a project's own by path."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import msgspec

from shipworthy.core.pack import Pack
from shipworthy.core.project import Project
from shipworthy.errors import BadProject, one_of

FOLDER = Path(str(files("shipworthy"))) / "assurance" / "packs"


def shipped() -> tuple[str, ...]:
    """The ids of the packs of this package, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def chosen(project: Project, folder: Path) -> tuple[Pack, ...]:
    """The packs that [law] packs names, in its order. folder: of the project. Raises BadProject."""
    found = tuple(load(name, folder) for name in project.law.packs)
    ids = [pack.id for pack in found]
    for one in ids:
        if ids.count(one) > 1:
            raise BadProject(f'two packs have the id "{one}"', where="[law] packs", hint="name one of them")
    return found


def load(name: str, folder: Path | None = None) -> Pack:
    """One pack, by its id, or by the path of a TOML file from a project's folder. Raises BadProject."""
    own = name.endswith(".toml")
    path = (folder or Path()) / name if own else FOLDER / f"{name}.toml"
    if not own and name not in shipped():
        raise BadProject(f'there is no rule pack "{name}"', where="[law] packs", hint=one_of(name, shipped()))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadProject("the rule pack cannot be read", where=str(path),
                         hint="name a TOML file in UTF-8, by its path from the project folder") from error
    return parse(text, where=str(path))


def parse(text: str, *, where: str) -> Pack:
    """A pack from TOML text; every key must be known. Raises BadProject that names the key."""
    try:
        pack = msgspec.toml.decode(text.encode(), type=Pack)
    except msgspec.ValidationError as error:
        told = str(error).replace("Object contains unknown field", "there is no key").replace("`", '"')
        raise BadProject(f"the rule pack is not whole: {told.replace('$.', '')}", where=where,
                         hint="docs/guides/law.md shows a whole pack") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise BadProject(f"the rule pack is not TOML: {error}", where=where, hint="correct that line") from error
    refs = [clause.ref for clause in pack.clauses]
    twice = next((ref for ref in refs if refs.count(ref) > 1), "")
    if twice:
        raise BadProject(f'two clauses have the ref "{twice}"', where=where, hint="give each clause its own place")
    for clause in pack.clauses:
        if clause.repealed_on and clause.repealed_on < (clause.effective_from or pack.effective_from):
            raise BadProject(f'clause "{clause.ref}" is repealed before it is in effect', where=where,
                             hint="correct effective_from or repealed_on")
    return pack
