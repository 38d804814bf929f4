"""The rows: every known place where deploying machine learning fails, as data.

After Paleyes, Urma and Lawrence, "Challenges in Deploying Machine Learning: a Survey of Case Studies" (ACM
Computing Surveys, 2022); workflow stages after Ashmore, Calinescu and Paterson (2021).
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One failure place. required: holds back promotion unless the project file says otherwise."""

    id: str
    title: str
    question: str
    required: bool = False
    absent: str = ""

    @property
    def stage(self) -> str:
        return self.id.split(".")[0]


STAGES = {
    "data": "3 · Data management",
    "learning": "4 · Model learning",
    "verification": "5 · Model verification",
    "deployment": "6 · Model deployment",
    "ethics": "7 · Ethics",
    "law": "7 · Law",
    "trust": "7 · Trust",
    "security": "7 · Security",
    "solutions": "8 · Tools and holistic answers",
}

MUST = True

ROWS: tuple[Row, ...] = (
    Row("data.discovery", "Discovery", "Is every source known, owned and licensed, and does every join hold?", MUST),
    Row("data.dispersion", "Dispersion", "Do scattered sources agree on names, units and keys?", MUST),
    Row("data.cleaning", "Cleaning", "Which cells were changed, why, and was anything right made wrong?", MUST),
    Row("data.labelling", "Labels", "Can the labels be believed?", MUST),
    Row("data.experts", "Experts", "Do the people who label agree, and what does a label cost?",
        absent="no labels are asked for by this release of the tool"),
    Row("data.variance", "Coverage", "Which regions of the input space are thin or empty?"),
    Row("data.profiling", "Profile", "Is there a leak, an overlap or a broken contract?", MUST),
    Row("learning.complexity", "Complexity", "Does the model beat the simplest one that is as good?", MUST),
    Row("learning.resources", "Resources", "Does it fit the latency, memory and size declared?", MUST),
    Row("learning.interpretability", "Interpretability", "Is a black box paid for by its gain?", MUST),
    Row("learning.cost", "Cost", "What did the run cost, and was it stopped in time?"),
    Row("learning.environment", "Environment", "How much energy and carbon, as an interval?"),
    Row("learning.privacy", "Private learning", "Is what was learnt bounded per person?"),
    Row("learning.search-cost", "Search cost", "Did the search keep its budget?", MUST),
    Row("learning.search-space", "Search space", "Does the best setting lie inside its range?"),
    Row("learning.hardware", "Hardware", "Were the figures measured on the machine that serves?"),
    Row("verification.performance", "Performance", "Does every requirement hold at its pessimistic end?", MUST),
    Row("verification.business", "Business value", "Does deciding with the model earn more than not deciding?", MUST),
    Row("verification.functional", "Function", "Which properties hold for all inputs?"),
    Row("verification.regulation", "Regulation", "Does fresh evidence answer every clause that applies?"),
    Row("verification.simulation", "Simulation", "Does it survive outages, drifts and late labels?"),
    Row("verification.data-validation", "Data validation", "Would the contract catch a broken batch?", MUST),
    Row("verification.edge-cases", "Edge cases", "Where does it fail, and does it ever crash?", MUST),
    Row("deployment.operations", "Operations", "Does it survive being killed without losing an answer?"),
    Row("deployment.reuse", "Reuse", "Is what is served exactly what was trained?", MUST),
    Row("deployment.anti-patterns", "Anti-patterns", "Is the pipeline free of known design faults?"),
    Row("deployment.teams", "Teams", "Who owns it, and did someone else approve?"),
    Row("deployment.monitoring", "Monitoring", "Would harm be seen in time, without crying wolf?"),
    Row("deployment.feedback-loops", "Feedback loops", "Does the model make its own next training data?"),
    Row("deployment.outliers", "Outliers", "Are strange rows noticed?"),
    Row("deployment.custom-tooling", "Own tooling", "Do the project's own plugins keep their contract?"),
    Row("deployment.concept-drift", "Concept drift", "Is a changed relation told from a changed population?"),
    Row("deployment.delivery", "Delivery", "Is every release identified by code, model and data?"),
    Row("ethics.bias", "Bias", "Does the model widen a gap that the data holds?", MUST),
    Row("ethics.fairness", "Fairness", "Are groups treated alike by the criterion chosen beforehand?", MUST),
    Row("ethics.authorship", "Authorship", "Who and what made this, and may it be used?", MUST),
    Row("ethics.decisions", "Decisions", "When does it abstain, and do its reasons hold?"),
    Row("law.country", "Country", "Which country's law applies, and is it answered?"),
    Row("law.legislation", "Personal data", "Is there undeclared personal data?", MUST),
    Row("law.non-technical", "Beyond technology", "Which duties only a person can sign for?"),
    Row("trust.involvement", "Involvement", "Did the people concerned shape it?"),
    Row("trust.experience", "Experience", "Can people use its pages?",
        absent="page checks are not in this release of the tool"),
    Row("trust.explainability", "Explainability", "Do explanations say what the model does?"),
    Row("security.poisoning", "Poisoning", "Would poisoned labels be found?"),
    Row("security.stealing", "Stealing", "How much of the model do its answers give away?"),
    Row("security.inversion", "Inversion", "Can one tell who was in the training data?", MUST),
    Row("solutions.storage", "Storage", "Are tables versioned, and do old versions still open?"),
    Row("solutions.hosting", "Hosting", "One server for training and inference",
        absent="no check of it yet; `shipworthy control` and `shipworthy worker` train over HTTP"),
    Row("solutions.metrics", "Metrics", "One vocabulary of model health",
        absent="the metric names are served, but not yet held to a check"),
    Row("solutions.custom", "Plugin door", "One door for every kind of change",
        absent="judged by `deployment.custom-tooling`"),
    Row("solutions.quality", "Tested checks", "Has every check been seen to fail?",
        absent="proved by `shipworthy sabotage`, for the tool and not for one release"),
    Row("solutions.checklist", "Checklist", "Is this list the gate?", absent="this list is the gate itself"),
    Row("solutions.weak-supervision", "Weak supervision", "Labels from rules",
        absent="weak supervision is not in this release of the tool"),
    Row("solutions.automl", "Automated learning", "A good model under a declared budget",
        absent="judged by `learning.search-cost` and `learning.complexity`"),
    Row("solutions.shift", "Shift", "Could a shift be corrected before labels come?"),
    Row("solutions.datasheets", "Datasheets", "Is the datasheet filled?"),
    Row("solutions.data-oriented", "Stored tables", "Can any run be replayed from stored data?",
        absent="replay is not yet held to a check"),
    Row("solutions.guidelines", "Guidelines", "Are best practices kept, as rules?"),
)

BY_ID = {row.id: row for row in ROWS}
