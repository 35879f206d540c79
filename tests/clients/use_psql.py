"""psql: its describing commands print what they print on PostgreSQL 15, and what else people do with it.

`psql/*.out` are what PostgreSQL 15 and its psql print; the schema is that of `testdata/catalog`.
"""

import itertools
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

from report import check, equal, run

HERE = Path(__file__).parent
CATALOG = HERE.parent.parent / "testdata" / "catalog"
VERSION = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]


def psql(script, *options, formatted=False, errors=subprocess.STDOUT):
    """What psql prints for this script; errors and notices stand where they came."""
    command = ["psql", "-X", "-q", *([] if formatted else ["-At"]), *options]
    return subprocess.run(command, input=script, text=True, stdout=subprocess.PIPE, stderr=errors, timeout=60).stdout


def same(got, expected):
    """Line by line, so that what differs is told and not all of it."""
    got, expected = got.splitlines(), expected.splitlines()
    for number, (here, there) in enumerate(itertools.zip_longest(got, expected), start=1):
        if here != there:
            raise AssertionError(f"line {number}: {here!r}, on PostgreSQL {there!r}")


def describes(what, commands):
    """psql of another major version asks and prints otherwise: then nothing but that it is answered can be said."""

    def compared():
        if VERSION.startswith("15."):
            same(psql(commands.read_text(), formatted=True, errors=subprocess.DEVNULL), commands.with_suffix(".out").read_text())
        else:
            got = psql(commands.read_text(), formatted=True)
            equal([line for line in got.splitlines() if line.startswith("ERROR") and "does not exist" not in line], [])

    check(what)(compared)


@check("a schema is made of a file")
def schema():
    same(psql((CATALOG / "schema.sql").read_text()), "")


describes(r"\d \d+ \dt \di \ds \dv \df \dp \dT \dD \dd \dX \dRp \do \sf \gdesc and others", CATALOG / "psql.in")
describes(r"\l \dn \du \db \dA \dti \d+ \dT+ \dz \sf+ \drds and others", HERE / "psql" / "describe.in")
describes(r"\d+ and \sv of a view, sizes, \dconfig, \des+, \dS of a catalog, \df with its types, \dF", HERE / "psql" / "more.in")


@check(r"\copy in and out, csv, of a query, COPY from stdin in a script")
def copy():
    same(
        psql(
            "create table c (a int, b text);\n"
            "\\copy c from stdin\n1\tx\\ty\n2\t\\N\n\\.\n"
            "\\copy c (b, a) from program 'printf \"p,3\\n,4\\n\"' with (format csv)\n"
            "\\copy (select b, a from c order by a) to stdout with csv header\n"
            "copy c (a) from stdin with (format csv, header);\na\n5\n\\.\n"
            "copy c to stdout;\n"
        ),
        "b,a\nx\ty,1\n,2\np,3\n,4\n1\tx\\ty\n2\t\\N\n3\tp\n4\t\\N\n5\t\\N\n",
    )


@check(r"FETCH_COUNT, \gdesc, \gset, \gexec, \crosstabview, \g to a program")
def results():
    same(psql("\\set FETCH_COUNT 3\nselect i, i * 2 from generate_series(1, 7) as i;"), "1|2\n2|4\n3|6\n4|8\n5|10\n6|12\n7|14\n")
    same(psql("select a, b, now() as at, 1.5 as n from c \\gdesc"),
         "a|integer\nb|text\nat|timestamp with time zone\nn|numeric\n")
    same(psql("select 5 as five, 'x' as x \\gset my_\n\\echo :my_five :'my_x'\nselect :my_five + 1, :'my_x', :\"my_x\" from (select 7 as x) t;"), "5 'x'\n6|x|7\n")
    same(psql("select format('select %s', i) from generate_series(1, 2) i \\gexec"), "1\n2\n")
    same(psql("select a, b from c where a < 3 order by a;\nselect 'r' as r, 'k' as k, 1 as v \\crosstabview"), "1|x\ty\n2|\nr|1\n")
    same(psql("select 1 \\g |cat"), "1\n")
    same(psql("select 1;select 'x' \\; select 2;"), "1\nx\n2\n")


@check("transactions: AUTOCOMMIT off, ON_ERROR_ROLLBACK, the prompt's state, ON_ERROR_STOP")
def transactions():
    same(psql("\\set ON_ERROR_ROLLBACK on\nbegin;insert into c values (100, 'kept');select nope;insert into c values (101, 'kept too');commit;"
              "select count(*) from c where a >= 100;"),
         'ERROR:  column "nope" does not exist\nLINE 1: select nope;\n               ^\n2\n')
    same(psql("\\set AUTOCOMMIT off\ninsert into c values (200, 'lost');rollback;select count(*) from c where a = 200;"), "0\n")
    same(psql("select 1/0;\nselect 1;", "-v", "ON_ERROR_STOP=1"), "ERROR:  division by zero\n")
    same(psql("begin;select 1/0;select 1;commit;select 2;"),
         "ERROR:  division by zero\nERROR:  current transaction is aborted, commands ignored until end of transaction block\n2\n")
    same(psql("insert into c values (300, 'all');select 1/0;", "-1"), "ERROR:  division by zero\n")
    same(psql("select count(*) from c where a = 300"), "0\n")


@check(r"errors: the line and its mark, \errverbose, SQLSTATE, ERROR variables")
def errors():
    same(psql("select *\nfrom nowhere;"), 'ERROR:  relation "nowhere" does not exist\nLINE 2: from nowhere;\n             ^\n')
    same(psql("create table k (a int primary key);insert into k values (1), (1);\n\\echo :SQLSTATE :ERROR :LAST_ERROR_MESSAGE"),
         'ERROR:  duplicate key value violates unique constraint "k_pkey"\nDETAIL:  Key (a)=(1) already exists.\n'
         '23505 true duplicate key value violates unique constraint "k_pkey"\n')
    assert "23505" in psql("insert into k values (1), (1);\n\\errverbose")
    same(psql("select 1 from k;\n\\echo :ROW_COUNT :SQLSTATE"), "0 00000\n")


@check(r"\if, variables, \timing, formats, NULL shown")
def scripting():
    same(psql("\\if :{?nothing}\n\\echo no\n\\elif true\n\\echo yes\n\\endif\n\\pset null (nothing)\nselect null;"), "yes\n(nothing)\n")
    same(psql("select 1 as a, 'x' as b;", "--csv", formatted=True), "a,b\n1,x\n")
    same(psql("select 1 as a, null as b;", "-x", formatted=True), "-[ RECORD 1 ]\na | 1\nb | \n\n")
    assert re.search(r"^Time: [\d.,]+ ms$", psql("\\timing on\nselect 1;"), re.M)
    same(psql("\\encoding\nshow client_encoding;"), "UTF8\nUTF8\n")
    same(psql("select 'é' || E'\\u00e9', U&'\\00e9', $$it's$$;"), "éé|é|it's\n")


@check("a connection's information, another connection, a password is not asked for")
def connections():
    got = psql("\\conninfo\n\\c - - - -\nselect current_user, current_database();")
    assert got.endswith(f"{os.environ['PGUSER']}|{os.environ['PGDATABASE']}\n"), got
    same(psql("select current_setting('application_name');"), "psql\n")
    got = psql("select 1", "-d", "nowhere_at_all")
    assert 'database "nowhere_at_all" does not exist' in got, got


def completes(keys, added):
    """Typed on a terminal, these keys and Tab must make psql's line end so."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="dumb", PSQL_HISTORY="/dev/null", INPUTRC="/dev/null", PAGER="cat")
        os.execvp("psql", ["psql", "-X"])
    shown, end = "", time.monotonic() + 10

    def wait(for_it):
        nonlocal shown
        while not for_it() and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 4096).decode().replace("\a", "")

    try:
        wait(lambda: re.search("=[>#] $", shown))
        shown = ""
        os.write(terminal, (keys + "\t").encode())
        wait(lambda: keys + added in shown)
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert keys + added in shown, f"{keys + added!r} is not in {shown!r}"


@check("the Tab key completes tables, columns, settings, schemas")
def completion():
    completes("select * from cust", "omers")
    completes("update orders set cust", "omer ")
    completes("set search_", "path ")
    completes("\\d sto", "re.")
    completes("alter table ord", "ers ")
    completes("drop view tot", "als ")


@check("Ctrl-C cancels")
def cancel():
    process = subprocess.Popen(["psql", "-X", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    process.stdin.write("with recursive n(i) as (select 1 union all select i % 7 from n) select count(*) from n;\n")
    process.stdin.flush()
    time.sleep(1)
    process.send_signal(2)
    out, _ = process.communicate(timeout=20)
    same(out, "Cancel request sent\nERROR:  canceling statement due to user request\n")


run(VERSION)
