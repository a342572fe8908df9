"""`/api/v1/diagnosis`: what is wrong with the installation."""

import msgspec
from litestar import Router, get
from litestar.di import NamedDependency

from tidings.operations import diagnosis
from tidings.operations.services import Services


class ProblemView(msgspec.Struct, frozen=True):
    """Something that is wrong, in a sentence with the remedy. `is_fatal`: nothing is delivered because of it."""

    name: str
    sentence: str
    is_fatal: bool


class ExaminedView(msgspec.Struct, frozen=True):
    """All that is wrong, what stops deliveries first, and what was looked at."""

    problems: list[ProblemView]
    looked_at: list[str]


@get("/")
async def read_diagnosis(services: NamedDependency[Services]) -> ExaminedView:
    """Tell what is wrong with the installation, each with its remedy.

    It looks at the database, workers, what waits, clocks and partitions, and connects to up to five hosts that webhooks name.
    """
    found = await diagnosis.examine(services, is_outward=True)
    problems = [ProblemView(one.name, one.sentence, one.is_fatal) for one in found.problems]
    return ExaminedView(problems, found.looked_at)


router = Router("/api/v1/diagnosis", route_handlers=[read_diagnosis], tags=["Diagnosis"])
