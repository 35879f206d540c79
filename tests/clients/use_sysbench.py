"""sysbench: its oltp scripts prepare, run and clean up."""

import os
import re
import subprocess

from report import DATABASE, HOST, PORT, USER, check, equal, run

VERSION = subprocess.run(["sysbench", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
SCRIPTS = ["oltp_read_write", "oltp_read_only", "oltp_write_only", "oltp_point_select", "oltp_update_index", "oltp_update_non_index",
           "oltp_insert", "oltp_delete", "select_random_points", "select_random_ranges", "bulk_insert"]
OPTIONS = ["--db-driver=pgsql", f"--pgsql-host={HOST}", f"--pgsql-port={PORT}", f"--pgsql-user={USER}", f"--pgsql-db={DATABASE}",
           "--tables=2", "--table-size=1000", "--threads=2", "--events=60", "--time=30", "--report-interval=0"]


def sysbench(script, command):
    done = subprocess.run(["sysbench", script, *OPTIONS, command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                          env={**os.environ})
    assert done.returncode == 0 and "FATAL" not in done.stdout, [line for line in done.stdout.splitlines() if "FATAL" in line][:2]
    return done.stdout


def value(sql):
    return subprocess.run(["psql", "-X", "-At", "-c", sql], capture_output=True, text=True, check=True).stdout.strip()


@check("prepare: tables, rows, secondary indexes")
def prepare():
    sysbench("oltp_read_write", "prepare")
    equal(value("select (select count(*) from sbtest1), (select count(*) from sbtest2), count(*) from pg_indexes where tablename = 'sbtest1'"), "1000|1000|2")


for script in SCRIPTS:

    @check(script)
    def runs(script=script):
        if script == "bulk_insert":
            sysbench("oltp_read_write", "cleanup")
            sysbench(script, "prepare")
        told = sysbench(script, "run")
        if script != "bulk_insert":
            equal(re.search(r"total number of events: +(\d+)", told).group(1), "60")
            equal(re.search(r"ignored errors: +\d+", told) is not None, True)
        else:
            equal(value("select (select count(*) from sbtest1) + (select count(*) from sbtest2)"), "60")


@check("cleanup")
def cleanup():
    sysbench("bulk_insert", "cleanup")
    sysbench("oltp_read_write", "cleanup")
    equal(value("select count(*) from pg_tables where tablename like 'sbtest%'"), "0")


run(VERSION)
