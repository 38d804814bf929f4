"""What a declared purpose seems to be for, word by word, so that nobody overlooks a law by leaving a line out."""

from __future__ import annotations

import re

from shipworthy.core.project import Project

WORDS = {
    "credit": ("credit", "loan", "lend", "borrow", "mortgage", "overdraft", "default", "creditworth"),
    "employment": ("hire", "hiring", "recruit", "applicant", "candidate", "employee", "promotion of staff", "resume",
                   "job"),
    "insurance": ("insur", "underwrit", "premium", "actuar"),
    "health": ("patient", "clinic", "diagnos", "disease", "hospital", "medical", "health", "mortality", "treatment"),
    "education": ("student", "pupil", "admission", "exam", "school"),
    "housing": ("tenant", "housing", "landlord", "rent "),
    "benefits": ("benefit claim", "welfare", "social assistance", "public service"),
    "law-enforcement": ("police", "recidiv", "offender", "parole", "crime"),
}
PACKS = {"credit": ("eu-ai-act", "us-credit", "gdpr"), "employment": ("eu-ai-act", "nyc-ll144", "us-ugesp", "gdpr"),
         "insurance": ("eu-ai-act", "gdpr"), "health": ("hipaa", "gdpr")}


def seems(project: Project) -> dict[str, str]:
    """Use → the words of [project] purpose, or of the target's name, that speak for it; empty if none does."""
    text = f"{project.project.purpose} {project.data.target.replace('_', ' ')}".lower()
    found = {}
    for use, stems in WORDS.items():
        heard = [stem.strip() for stem in stems if re.search(rf"\b{re.escape(stem)}", text)]
        if heard:
            found[use] = ", ".join(heard)
    return found


def suggested(project: Project) -> tuple[str, ...]:
    """Packs that somebody should look at: by the use that the purpose names, or the general ones."""
    uses = [*project.law.uses, *seems(project)]
    person = project.project.subject != "thing"
    general = ("gdpr", "nist-ai-rmf") if person else ("nist-ai-rmf",)
    return tuple(dict.fromkeys(pack for use in uses for pack in PACKS.get(use, ()))) or general
