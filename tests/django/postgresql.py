"""A PostgreSQL server of the runner's own, and two connections to it whose statements interleave in a known order."""

import contextlib
import getpass
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import threading
import time

USER = "ormend"
MISSING = """PostgreSQL is needed for `check postgresql` and `race`, and {what} is not installed.
On Debian or Ubuntu: apt-get install postgresql (the runner starts a server of its own; none has to run).
In the Python environment: pip install "psycopg[binary]".
Without the cases that need it: --database sqlite"""


class Missing(Exception):
    """What has to be installed."""


def programs():
    """The folder that holds initdb and postgres; the newest version where there are several."""

    def version(folder):
        name = folder.parent.name
        return float(name) if name.replace(".", "", 1).isdigit() else 0

    debian = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    on_path = [pathlib.Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in [*debian, *on_path]:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing(MISSING.format(what="its server (initdb, postgres)"))


@contextlib.contextmanager
def server():
    """Start a server and give the folder of its socket; it ends with this process, however that ends."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Missing(MISSING.format(what="psycopg")) from None
    folder = programs()
    home = pathlib.Path(tempfile.mkdtemp(prefix="ormend-pg-"))
    # PostgreSQL refuses to run as root.
    user = []
    if os.geteuid() == 0:
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            raise Missing(MISSING.format(what="its user `postgres`")) from None
        os.chown(home, owner.pw_uid, owner.pw_gid)
        user = ["runuser", "-u", "postgres", "--"]
    data, log = home / "data", home / "log"
    settings = f"""
listen_addresses = ''
unix_socket_directories = '{home}'
max_connections = 60
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
deadlock_timeout = 100ms
lock_timeout = 30s
"""
    # The shell ends the server when its input closes: when this process ends. A server that starts up ignores signals.
    script = f"""
set -e
trap '' PIPE
cd {home}
{folder}/initdb -D {data} -A trust -U {USER} -N --no-instructions --locale=C -E UTF8 >{log} 2>&1
cat >>{data}/postgresql.conf <<'SETTINGS'
{settings}
SETTINGS
{folder}/postgres -D {data} >>{log} 2>&1 </dev/null &
echo started || true
tries=0
while [ ! -S .s.PGSQL.5432 ] && [ $tries -lt 500 ]; do sleep 0.02; tries=$((tries + 1)); done
cat >/dev/null
kill -QUIT $! || true
wait $! || true
rm -rf {home}
"""
    try:
        watcher = subprocess.Popen([*user, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            wait_for(home, watcher, log)
            yield Server(home, watcher.stdin.fileno())
        finally:
            watcher.stdin.close()
            try:
                watcher.wait(20)
            except subprocess.TimeoutExpired:
                watcher.terminate()
            watcher.stdout.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Server:
    def __init__(self, home, pipe):
        self.home = home
        self.pipe = pipe

    def detach(self):
        """In a forked child: the pipe that keeps the server running belongs to the parent."""
        os.close(self.pipe)

    def options(self, schema):
        """The entry of DATABASES that sees one schema."""
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": USER,
            "PASSWORD": "",
            "HOST": str(self.home),
            "PORT": "",
            "OPTIONS": {"options": f"-c search_path={schema}"},
        }

    def create(self, schema):
        import psycopg

        with psycopg.connect(f"dbname=postgres user={USER} host={self.home}", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")


def wait_for(home, watcher, log):
    """Wait until the server answers."""
    import psycopg

    started = watcher.stdout.readline()
    end = time.monotonic() + 30
    while started and watcher.poll() is None and time.monotonic() < end:
        try:
            psycopg.connect(f"dbname=postgres user={USER} host={home}").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.02)
    said = log.read_text(errors="replace") if log.exists() else ""
    raise RuntimeError(f"PostgreSQL does not start for {getpass.getuser()}:\n{said}")


# --- two connections ----------------------------------------------------------------------------------------------

WRITES = ("INSERT", "UPDATE", "DELETE")
PATIENCE = 20


class Side(threading.Thread):
    """One of the two: runs a callable on connections of its own, and stops where it is told to."""

    def __init__(self, call, observers):
        super().__init__(daemon=True)
        self.call = call
        self.observers = observers
        self.pause = None  # whether to stop before a statement
        self.held = False  # whether to stop after a statement
        self.moved = threading.Condition()
        self.stopped = False
        self.done = False
        self.pids = []
        self.error = None

    def run(self):
        from django.db import connections

        try:
            for alias in connections:
                connection = connections[alias]
                connection.ensure_connection()
                self.pids.append(connection.connection.info.backend_pid)
                connection.execute_wrappers.extend([self.step, *self.observers])
            self.call()
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()
            with self.moved:
                self.done = True
                self.moved.notify_all()

    def step(self, execute, sql, params, many, context):
        if self.pause and self.pause(sql):
            self.pause = None
            self.stop()
        try:
            return execute(sql, params, many, context)
        finally:
            if self.held:
                self.stop()

    def stop(self):
        with self.moved:
            self.stopped = True
            self.moved.notify_all()
            if not self.moved.wait_for(lambda: not self.stopped, PATIENCE):
                raise RuntimeError("together(): nobody lets this side go on")

    def go(self):
        with self.moved:
            self.stopped = False
            self.moved.notify_all()

    def settle(self, monitor):
        """Wait until it has ended or stopped, or waits for a lock."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with self.moved:
                if self.moved.wait_for(lambda: self.done or self.stopped, 0.005):
                    return "done" if self.done else "stopped"
            if any(monitor(pid) for pid in list(self.pids)):
                return "blocked"
        raise RuntimeError("together(): one side does not come to an end")


def together(first, second, pause=1, observers=()):
    """Run two callables on two connections: `first` until a statement, then `second` as far as it comes, then the rest.

    The statement is the `pause`-th that writes, or the first that holds the text `pause`. `second` runs to its end
    or until it waits for a lock of `first`; then `first` runs to its end, and `second` goes on after it. So at no
    time do both run. An exception of either is raised here. The answer says whether `second` had to wait.
    """
    from django.db import connections

    seen = []

    def here(sql):
        if isinstance(pause, str):
            return pause in sql
        if sql.lstrip(" (").split(None, 1)[0].upper() in WRITES:
            seen.append(sql)
        return len(seen) == pause

    connection = connections["default"].copy()
    try:

        def waits(pid):
            with connection.cursor() as cursor:
                cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid])
                return cursor.fetchone()[0]

        sides = [Side(first, observers), Side(second, observers)]
        sides[0].pause = here
        sides[0].start()
        if sides[0].settle(waits) == "blocked":
            raise RuntimeError("together(): the first side waits for a lock before the second has begun")
        paused = not sides[0].done
        sides[1].start()
        waited = sides[1].settle(waits) == "blocked"
        # What `second` does once it has the lock comes after `first`, unless `first` then waits for it.
        sides[1].held = waited
        sides[0].go()
        sides[0].settle(waits)
        sides[1].held = False
        sides[1].go()
        for side in sides:
            side.join(PATIENCE)
            if side.is_alive():
                raise RuntimeError("together(): one side does not come to an end")
    finally:
        connection.close()
    for side in sides:
        if side.error is not None:
            raise side.error
    if not paused:
        return "never paused"
    return "waited" if waited else "did not wait"
