"""Of a project's own noxfile.py: `nox -s ormend`, or with flags `nox -s ormend -- --changed`."""

import nox


@nox.session
def ormend(session: nox.Session) -> None:
    """Look for slow Django ORM queries."""
    session.install("ormend")
    session.run("ormend", "check", *session.posargs)
