"""pgbench: its tables are filled in both ways, its scripts run in every protocol, and their sums agree."""

import re
import subprocess
import tempfile

from report import check, equal, run

VERSION = subprocess.run(["pgbench", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]


def program(*command):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout.strip().splitlines()[-3:]}"
    return done.stdout


def value(sql):
    return program("psql", "-X", "-At", "-c", sql).strip()


def runs(transactions, *options):
    """All must be done; those that meet at a row may be tried again."""
    told = program("pgbench", "-n", "-c", "4", "-j", "2", "-t", str(transactions // 4), "--max-tries=100", *options)
    assert f"number of transactions actually processed: {transactions}/{transactions}" in told, told
    assert re.search(r"number of failed transactions: 0 ", told), told


def sums_agree():
    equal(value("select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)"
                " and (select sum(tbalance) from pgbench_tellers) = (select sum(delta) from pgbench_history)"), "t")


@check("-i, with foreign keys and an unlogged table")
def initialise():
    program("pgbench", "-i", "-q", "-s", "1", "--foreign-keys", "--unlogged-tables")
    equal(value("select count(*), sum(abalance) from pgbench_accounts"), "100000|0")


@check("-i once more, with rows that the server makes")
def server_side():
    program("pgbench", "-i", "-q", "-s", "1", "-I", "dtGvp")
    equal(value("select count(*), sum(abalance) from pgbench_accounts"), "100000|0")


for protocol in ["simple", "extended", "prepared"]:

    @check(f"TPC-B-like, -M {protocol}")
    def tpcb(protocol=protocol):
        before = int(value("select count(*) from pgbench_history"))
        runs(200, "-M", protocol)
        equal(int(value("select count(*) from pgbench_history")), before + 200)
        sums_agree()


@check("-N, -S and several scripts with weights")
def scripts():
    runs(100, "-N", "-M", "prepared")
    runs(400, "-S", "-M", "prepared")
    runs(200, "-b", "simple-update@2", "-b", "select-only@8")
    equal(value("select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)"), "t")


@check("a script of one's own: variables, \\gset, \\if, a pipeline")
def own():
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(
            "\\set aid random(1, 100000)\nselect abalance as old from pgbench_accounts where aid = :aid \\gset\n"
            "\\if :old >= 0\nupdate pgbench_accounts set abalance = abalance where aid = :aid;\n\\endif\n"
            "begin;\nselect 1;\nend;\n"
        )
        file.flush()
        runs(100, "-f", file.name)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write("\\startpipeline\nselect 1;\nselect abalance from pgbench_accounts where aid = 1;\n\\endpipeline\n")
        file.flush()
        runs(100, "-f", file.name, "-M", "extended")


@check("with partitions")
def partitions():
    program("pgbench", "-i", "-q", "-s", "1", "--partitions", "3")
    equal(value("select count(*) from pgbench_accounts"), "100000")


run(VERSION)
